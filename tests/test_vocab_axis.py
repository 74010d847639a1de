"""What runs on the shards of a table, on every kind of mesh and inside `shard_map`."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow
from jax import lax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from attnax._vocab_axis import on_shards

# The meshes are of host devices: an accelerator may be one device only.
HOST = jax.devices("cpu")[:4]
MESHES = {
    axis_type: jax.make_mesh(
        (2, 2), ("a", "b"), axis_types=(axis_type,) * 2, devices=HOST
    )
    for axis_type in (AxisType.Auto, AxisType.Explicit)
}
every_mesh = pytest.mark.parametrize("mesh", MESHES.values(), ids=("auto", "explicit"))

# Small integers: every sum of them is exact.
WEIGHT = np.arange(24, dtype=np.float32).reshape(12, 2) - 7
BIAS = np.arange(12, dtype=np.float32)
ROWS = np.array([[0, 3], [11, 5], [6, 6], [7, -1]], np.int32)
EXPECTED = np.where(
    (ROWS >= 0)[..., None], (WEIGHT * (1 + BIAS[:, None]))[ROWS], np.float32(0)
)


def scaled_rows(shard, weight, bias, rows):
    """Rows of `weight`, each times 1 plus its bias, and zeros for -1."""
    local, own = shard.local(rows)
    table = weight if bias is None else weight * (1 + bias[:, None])
    hot = jax.nn.one_hot(jnp.where(own, local, -1), shard.num_rows, dtype=table.dtype)
    return lax.psum(hot @ table, shard.axis)


def call(weight, bias, rows, axis="b"):
    tables, arrays = {"weight": weight, "bias": bias}, {"rows": rows}
    return on_shards(scaled_rows, axis, tables, arrays)


def call_and_gradient(weight, bias, rows, axis="b"):
    """The result, and the gradient of the sum of its squares by `weight`."""

    def loss(weight):
        out = call(weight, bias, rows, axis)
        return jnp.sum(out**2) / 2, out

    (_, out), gradient = jax.value_and_grad(loss, has_aux=True)(weight)
    return out, gradient


def expected_gradient():
    gradient = np.zeros_like(WEIGHT)
    seen = ROWS >= 0
    np.add.at(gradient, ROWS[seen], EXPECTED[seen] * (1 + BIAS[ROWS[seen]])[:, None])
    return gradient


def put(mesh, of_table, of_rows):
    specs = (P(*of_table), P(*of_table[:1]), P(*of_rows))
    arrays = zip((WEIGHT, BIAS, ROWS), specs, strict=True)
    return [jax.device_put(x, NamedSharding(mesh, spec)) for x, spec in arrays]


PLACES = (
    (("b",), ("a",)),  # the table in its shards, a batch in others
    (("b",), ("b",)),  # both over the same axis
    (("a", "b"), (None, "b")),  # a table that must move
    ((), ()),
)


@every_mesh
@pytest.mark.parametrize("of_table, of_rows", PLACES)
@pytest.mark.parametrize("axis", ("b", *slow(("b", "a"))))
def test_values_and_gradients_wherever_arguments_lie(mesh, of_table, of_rows, axis):
    arrays = put(mesh, of_table, of_rows)
    with jax.set_mesh(mesh):
        out, gradient = jax.jit(call_and_gradient, static_argnums=3)(*arrays, axis)
    np.testing.assert_array_equal(out, EXPECTED)
    np.testing.assert_array_equal(gradient, expected_gradient())
    if of_table == ("b",) and axis == "b":
        assert gradient.sharding.is_equivalent_to(arrays[0].sharding, 2)


@every_mesh
def test_the_mesh_of_an_argument_is_enough(mesh):
    arrays = put(mesh, ("b",), ("a",))
    np.testing.assert_array_equal(call(*arrays), EXPECTED)  # without `jit` too
    np.testing.assert_array_equal(jax.jit(call)(*arrays), EXPECTED)


@every_mesh
def test_arrays_of_the_host(mesh):
    with jax.set_mesh(mesh):
        np.testing.assert_array_equal(jax.jit(call)(WEIGHT, BIAS, ROWS), EXPECTED)
        np.testing.assert_array_equal(
            call(WEIGHT, None, np.maximum(ROWS, 0)), WEIGHT[np.maximum(ROWS, 0)]
        )


@every_mesh
@pytest.mark.parametrize("names", ({"b"}, {"a", "b"}), ids=("in part", "whole"))
def test_inside_shard_map_the_table_is_the_shard(mesh, names):
    rows = P("a") if "a" in names else P()
    mapped = jax.shard_map(
        call, axis_names=names, in_specs=(P("b"), P("b"), rows), out_specs=rows
    )
    inside = jax.shard_map(
        lambda *args: call_and_gradient(*args)[1],
        axis_names=names,
        in_specs=(P("b"), P("b"), P()),
        out_specs=P("b"),
    )
    with jax.set_mesh(mesh):
        weight, bias, rows = put(mesh, ("b",), ("a",))
        np.testing.assert_array_equal(jax.jit(mapped)(weight, bias, rows), EXPECTED)
        rows = put(mesh, ("b",), ())[2]
        gradient = jax.jit(inside)(weight, bias, rows)
    np.testing.assert_array_equal(gradient, expected_gradient())


@every_mesh
def test_inside_a_shard_map_over_another_axis(mesh):
    if jax.__version_info__ < (0, 10, 2):
        pytest.skip("jax cannot compile a shard_map in another")

    def step(weight, bias, rows):
        mapped = jax.shard_map(
            call, axis_names={"a"}, in_specs=(P(), P(), P("a")), out_specs=P("a")
        )
        return jnp.sum(mapped(weight, bias, rows) ** 2) / 2

    with jax.set_mesh(mesh):
        value, gradient = jax.jit(jax.value_and_grad(step))(*put(mesh, ("b",), ("a",)))
    assert value == np.sum(EXPECTED**2) / 2
    np.testing.assert_array_equal(gradient, expected_gradient())


def test_an_axis_of_vmap_serves_as_well():
    shards = WEIGHT.reshape(3, 4, 2), BIAS.reshape(3, 4)
    mapped = jax.vmap(call, in_axes=(0, 0, None), axis_name="b")
    np.testing.assert_array_equal(mapped(*shards, ROWS), [EXPECTED] * 3)


@every_mesh
def test_a_batch_of_tables(mesh):
    def both(weight, bias, rows):
        return jax.vmap(call, in_axes=(0, None, None))(weight, bias, rows)

    with jax.set_mesh(mesh):
        out = jax.jit(both)(np.stack([WEIGHT, 2 * WEIGHT]), BIAS, ROWS)
    np.testing.assert_array_equal(out, np.stack([EXPECTED, 2 * EXPECTED]))


@pytest.mark.parametrize("axis_type", MESHES, ids=("auto", "explicit"))
def test_an_axis_of_one_device(axis_type):
    """XLA cannot compile a program that is manual over it and not over the others."""
    mesh = jax.make_mesh((4, 1), ("a", "b"), axis_types=(axis_type,) * 2, devices=HOST)
    with jax.set_mesh(mesh):
        arrays = put(mesh, ("b",), ("a",))
        out, gradient = jax.jit(call_and_gradient)(*arrays)
    np.testing.assert_array_equal(out, EXPECTED)
    np.testing.assert_array_equal(gradient, expected_gradient())


@every_mesh
def test_vmap_over_an_axis_of_the_mesh(mesh):
    """Under an explicit mesh, `vmap` holds the axis `a`: it cannot be manual then."""

    def loss(weight, bias, rows):
        out = jax.vmap(call, in_axes=(None, None, 0))(weight, bias, rows)
        return jnp.sum(out**2) / 2, out

    with jax.set_mesh(mesh):
        step = jax.jit(jax.value_and_grad(loss, has_aux=True))
        (_, out), gradient = step(*put(mesh, ("b",), ("a",)))
    np.testing.assert_array_equal(out, EXPECTED)
    np.testing.assert_array_equal(gradient, expected_gradient())


errors = pytest.mark.errors


@errors
@pytest.mark.parametrize("axis", (3, (), ("a", 3), ("a", "a"), ["a"], None))
def test_names_are_strings(axis):
    with pytest.raises(ValueError, match=r"vocab_axis=.* must be the name of a mesh"):
        call(WEIGHT, BIAS, ROWS, axis)


@errors
@every_mesh
@pytest.mark.parametrize("axis", ("c", ("b", "c")))
def test_an_axis_that_the_mesh_lacks(mesh, axis):
    message = r"vocab_axis=.*'c'.* must name an axis of the mesh, .*\('a', 'b'\)"
    with jax.set_mesh(mesh), pytest.raises(ValueError, match=message):
        call(WEIGHT, BIAS, ROWS, axis)


@errors
def test_no_mesh():
    with pytest.raises(
        ValueError, match=r"vocab_axis='b' .* set one with jax.set_mesh"
    ):
        call(WEIGHT, BIAS, ROWS)


@errors
@every_mesh
def test_shards_that_do_not_divide_the_rows(mesh):
    message = "weight has 11 rows, .* multiple of the 2 shards of vocab_axis='b'; pad"
    with jax.set_mesh(mesh), pytest.raises(ValueError, match=message):
        call(WEIGHT[:11], None, ROWS)


@errors
def test_axes_of_which_one_is_manual():
    mapped = jax.shard_map(
        functools.partial(call, axis=("a", "b")),
        axis_names={"a"},
        in_specs=P(),
        out_specs=P(),
    )
    message = (
        r"vocab_axis=\('a', 'b'\) must name axes that are all manual.*: 'b' is not"
    )
    with jax.set_mesh(MESHES[AxisType.Auto]), pytest.raises(ValueError, match=message):
        jax.eval_shape(mapped, WEIGHT, BIAS, ROWS)


@errors
def test_a_whole_table_inside_shard_map():
    """Each device would take it for its shard, and id 10 of 8 rows for row 2."""
    mapped = jax.shard_map(
        lambda weight, rows: call(weight, None, rows),
        axis_names={"b"},
        in_specs=P(),
        out_specs=P(),
    )
    message = r"weight is float32\[12,2\], but must be the shard .*'b'.*in_specs=jax.P"
    with jax.set_mesh(MESHES[AxisType.Auto]), pytest.raises(ValueError, match=message):
        jax.eval_shape(mapped, WEIGHT, ROWS)


def test_without_types_that_tell_where_arrays_differ():
    """The value needs no such types, nor the gradient from outside."""
    mapped = jax.shard_map(
        lambda weight, rows: call(weight, None, rows),
        in_specs=(P("b"), P()),
        out_specs=P(),
        mesh=MESHES[AxisType.Auto],
        check_vma=False,
    )
    out, pull = jax.vjp(lambda weight: mapped(weight, ROWS), WEIGHT)
    known = ROWS >= 0
    np.testing.assert_array_equal(out[known], WEIGHT[ROWS[known]])
    counts = np.bincount(ROWS[known], minlength=12)
    actual = pull(np.ones(out.shape, np.float32))[0]
    np.testing.assert_array_equal(actual, np.repeat(counts[:, None], 2, 1))


@errors
def test_arguments_that_differ_from_shard_to_shard():
    mapped = jax.shard_map(
        call, axis_names={"b"}, in_specs=(P("b"), P("b"), P("b")), out_specs=P()
    )
    message = r"rows is int32\[2,2\].* must be the same on all shards .*'b'.*all_gather"
    with jax.set_mesh(MESHES[AxisType.Auto]), pytest.raises(ValueError, match=message):
        jax.eval_shape(mapped, WEIGHT, BIAS, ROWS)

    def gathered(weight, bias, rows):
        rows = lax.all_gather(rows, "b", tiled=True, to="invarying")
        return call(weight, bias, rows)

    mapped = jax.shard_map(
        gathered, axis_names={"b"}, in_specs=(P("b"), P("b"), P("b")), out_specs=P()
    )
    with jax.set_mesh(MESHES[AxisType.Auto]):
        np.testing.assert_array_equal(jax.jit(mapped)(WEIGHT, BIAS, ROWS), EXPECTED)
