import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resize_oracles
import strategies as ax
from helpers import assert_close, assert_same_bits, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from resize_oracles import BILINEAR, CONVENTIONS, SIZE

import attnax.functional as F

conventions = st.sampled_from(CONVENTIONS)
OLD = (4, 5)
GRIDS = ((3, 7), (8, 3), (4, 5), (1, 2))
LENGTH = 26


def packed(grids=GRIDS, *, order=None):
    """Coordinates `(batch, LENGTH, 2)` and a mask; padding has no coordinates."""
    coordinates = np.full((len(grids), LENGTH, 2), -1, np.int32)
    mask = np.zeros((len(grids), LENGTH), bool)
    for image, grid in enumerate(grids):
        rows = F.positions_from_grid(grid)
        if order is not None:
            rows = rows[order.permutation(len(rows))]
        coordinates[image, : len(rows)] = rows
        mask[image, : len(rows)] = True
    return np.array(grids, np.int32), coordinates, mask


def expected_rows(table, grids, coordinates, mask, options):
    out = np.zeros((*mask.shape, table.shape[-1]))
    for image, grid in enumerate(grids.tolist()):
        resized = resize_oracles.resized(table, OLD, grid, **options)
        for token in np.flatnonzero(mask[image]):
            row, column = coordinates[image, token]
            out[image, token] = resized[row * grid[1] + column]
    return out


def draw_table(data, dtype=jnp.float32):
    return data.draw(ax.floats((OLD[0] * OLD[1], 3), dtype))


@given(data=st.data(), options=conventions, dtype=ax.dtypes, traced=st.booleans())
def test_rows_are_those_of_each_resized_grid(data, options, dtype, traced):
    table = draw_table(data, dtype)
    order = np.random.default_rng(data.draw(st.integers(0, 9)))
    arrays = packed(order=order)
    expected = expected_rows(table, *arrays, options)
    apply = lambda t, g, c, m: F.resized_positions_at(t, OLD, g, c, mask=m, **options)
    actual = (jax.jit(apply) if traced else apply)(table, *arrays)
    assert actual.dtype == dtype
    # Rounded: the weights of each axis and sums of 16 or 20 terms.
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@given(data=st.data(), options=conventions, dtype=ax.narrow_dtypes)
def test_low_precision_is_float32_rounded_once(data, options, dtype):
    table, (grids, coordinates, mask) = draw_table(data, dtype), packed()
    arguments = OLD, grids, coordinates
    settings = {"mask": mask, **options}
    actual = F.resized_positions_at(table, *arguments, **settings)
    wide = F.resized_positions_at(table.astype(jnp.float32), *arguments, **settings)
    assert_same_bits(actual, wide.astype(dtype))
    kept = F.resized_positions_at(table, *arguments, dtype=jnp.float32, **settings)
    assert_same_bits(kept, wide)


@pytest.mark.parametrize("options", CONVENTIONS)
def test_one_program_serves_every_size(options):
    table = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)), jnp.float32)
    compiles = 0

    @jax.jit
    def apply(grids, coordinates, mask):
        nonlocal compiles
        compiles += 1
        settings = {"mask": mask, **options}
        return F.resized_positions_at(table, OLD, grids, coordinates, **settings)

    for grids in (GRIDS, ((2, 13), (6, 4), (5, 4), (26, 1))):
        arrays = packed(grids)
        expected = expected_rows(np.asarray(table), *arrays, options)
        assert_close(apply(*arrays), expected, magnitude=SIZE, roundings=40)
    assert compiles == 1


@pytest.mark.parametrize("options", CONVENTIONS)
def test_a_sequence_of_several_images_has_a_size_for_each_patch(options):
    table = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)), jnp.float32)
    grids, coordinates, mask = packed()
    each = np.broadcast_to(grids[:, None], coordinates.shape)
    settings = {"mask": mask, **options}
    expected = F.resized_positions_at(table, OLD, grids, coordinates, **settings)
    joined = [t.reshape(-1, *t.shape[2:]) for t in (each, coordinates, mask)]
    apply = lambda t, g, c, m: F.resized_positions_at(t, OLD, g, c, mask=m, **options)
    for run in (apply, jax.jit(apply)):
        assert_close(
            run(table, *joined),
            np.asarray(expected).reshape(-1, 3),
            magnitude=SIZE,
            roundings=40,
        )


@pytest.mark.parametrize("antialias", (False, True))
def test_no_images_and_no_patches(antialias):
    settings = {"method": "bilinear", "antialias": antialias}
    table = np.ones((20, 3), np.float32)  # NumPy tables as well
    for shape in ((0, 7), (2, 0)):
        grids = np.ones((shape[0], 2), int)
        where, mask = np.zeros((*shape, 2), int), np.ones(shape, bool)
        rows = F.resized_positions_at(table, OLD, grids, where, mask=mask, **settings)
        assert rows.shape == (*shape, 3)


def test_known_arrays_are_checked_inside_jit_as_well():
    table, (grids, coordinates, mask) = jnp.ones((20, 3)), packed()
    arrays = [jnp.asarray(t) for t in (grids, coordinates)]
    apply = lambda t, m: F.resized_positions_at(t, OLD, *arrays, mask=m, **BILINEAR)
    known = jax.jit(lambda t: apply(t, jnp.asarray(mask)))(table)
    # XLA computes what is known by itself, and may round it otherwise.
    traced = np.asarray(jax.jit(apply)(table, mask))
    assert_close(known, traced, magnitude=SIZE)
    with pytest.raises(ValueError, match=r"coordinates\[0, 21, 0\]=-1 must lie in"):
        jax.jit(lambda t: F.resized_positions_at(t, OLD, *arrays, **BILINEAR))(table)


@pytest.mark.parametrize("options", CONVENTIONS[2:7:2])
@pytest.mark.parametrize("spec", (P(), P(None, "b"), P("b", None)))
def test_sharded_batches_under_an_explicit_mesh(options, spec):
    table = jnp.asarray(np.random.default_rng(0).normal(size=(20, 4)), jnp.float32)
    arrays = packed()
    apply = lambda t, g, c, m: F.resized_positions_at(t, OLD, g, c, mask=m, **options)
    expected = np.asarray(apply(table, *arrays))
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        table = jax.device_put(table, NamedSharding(mesh, spec))
        arrays = jax.device_put(arrays, NamedSharding(mesh, P("a")))
        rows = jax.jit(apply)(table, *arrays)
        width = spec[1] if len(spec) > 1 else None
        assert jax.typeof(rows).sharding.spec == P("a", None, width)
        assert_close(rows, expected, magnitude=SIZE, roundings=40)
        gradient = jax.jit(jax.grad(lambda t: apply(t, *arrays).sum()))(table)
        assert jax.typeof(gradient).sharding == jax.typeof(table).sharding


@pytest.mark.parametrize("options", CONVENTIONS)
def test_batch_is_vmap(options):
    table = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)), jnp.float32)
    grids, coordinates, mask = map(jnp.asarray, packed())
    apply = jax.jit(
        lambda g, c, m: F.resized_positions_at(table, OLD, g, c, mask=m, **options)
    )
    expected = np.asarray(apply(grids, coordinates, mask))
    actual = jax.vmap(apply)(grids, coordinates, mask)
    assert_close(actual, expected, magnitude=SIZE, roundings=40)
    twice = lambda t: jnp.stack([t, t])
    batched = apply(*map(twice, (grids, coordinates, mask)))
    assert_close(batched, np.stack([expected] * 2), magnitude=SIZE, roundings=40)


@pytest.mark.parametrize("big", (False, True))
@pytest.mark.parametrize("options", CONVENTIONS)
def test_gradient_and_tangent_are_those_of_the_map(options, big):
    # Small tables take a matrix product for their gradient, large ones add up taps.
    old = (60, 61) if big else OLD
    rng = np.random.default_rng(0)
    table, tangent = rng.normal(size=(2, old[0] * old[1], 2)).astype(np.float32)
    grids, coordinates, mask = packed()
    apply = lambda t: F.resized_positions_at(
        t, old, grids, coordinates, mask=mask, **options
    )
    apply = jax.jit(apply)
    out, pushed = jax.jvp(apply, (table,), (tangent,))
    assert_close(out, np.asarray(apply(table)), magnitude=SIZE)
    # The map is linear: its tangent is itself, its gradient the transpose.
    assert_close(pushed, np.asarray(apply(tangent)), magnitude=SIZE)
    cotangent = rng.normal(size=out.shape).astype(np.float32)
    (gradient,) = jax.vjp(apply, table)[1](cotangent)
    left = np.vdot(np.asarray(gradient, np.float64), tangent)
    right = np.vdot(np.asarray(pushed, np.float64), cotangent)
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-4 * np.sqrt(out.size))
    # What is masked adds nothing.
    lone = jax.grad(lambda t: apply(t)[~mask].sum())(table)
    assert not np.asarray(lone).any()


@pytest.mark.parametrize(
    "old, options, adds_up",
    (
        ((26, 27), BILINEAR, False),
        ((27, 27), BILINEAR, True),
        ((53, 54), CONVENTIONS[3], False),
        ((54, 54), CONVENTIONS[3], True),
        ((54, 54), CONVENTIONS[4], False),
    ),
)
def test_gradients_add_up_taps_only_in_large_tables(old, options, adds_up):
    where, sizes = np.zeros((1, 2), np.int32), np.array([3, 7])
    apply = lambda t: F.resized_positions_at(t, old, sizes, where, **options).sum()
    program = str(jax.make_jaxpr(jax.grad(apply))(jnp.ones((old[0] * old[1], 2))))
    assert ("scatter-add" in program) == adds_up


def test_gradient_of_a_bfloat16_table_is_added_up_in_float32():
    old, count = (1, 2), 4096
    table = jnp.ones((2, 1), jnp.bfloat16)
    coordinates = np.zeros((count, 2), np.int32)
    apply = lambda t: F.resized_positions_at(
        t, old, np.array([1, 2]), coordinates, dtype=jnp.float32, **BILINEAR
    )
    gradient = jax.grad(lambda t: (0.01 * apply(t)).sum())(table)
    assert gradient.dtype == jnp.bfloat16
    assert float(gradient[0, 0]) == float(jnp.bfloat16(40.96))


@pytest.mark.parametrize("options", CONVENTIONS)
@pytest.mark.parametrize(
    "grid, coordinate",
    (((3, 7), (3, 0)), ((3, 7), (0, 7)), ((3, 7), (-1, 0)), ((0, 7), (0, 0))),
)
def test_traced_values_out_of_range_give_nan_rows(options, grid, coordinate):
    table = jnp.ones((20, 3))
    where = jnp.array([coordinate, (0, 0)])
    apply = jax.jit(lambda g, c: F.resized_positions_at(table, OLD, g, c, **options))
    rows = apply(jnp.array(grid), where)
    assert bool(jnp.isnan(rows[0]).all())
    if grid[0] > 0:
        assert_close(rows[1], np.ones(3), magnitude=SIZE, roundings=40)
    mask = jnp.array([False, True])
    masked = jax.jit(
        lambda g, c, m: F.resized_positions_at(table, OLD, g, c, mask=m, **options)
    )
    assert not masked(jnp.array(grid), where, mask)[0].any()


@pytest.mark.parametrize("traced", (False, True))
def test_an_image_of_padding_alone_needs_no_size(traced):
    grids, mask = np.array([OLD, (0, 0)]), np.array([[True], [False]])
    where = np.zeros((2, 1, 2), int)
    apply = lambda t, g, c, m: F.resized_positions_at(t, OLD, g, c, mask=m, **BILINEAR)
    table = jnp.ones((20, 3), jnp.float32)
    rows = (jax.jit(apply) if traced else apply)(table, grids, where, mask)
    assert_same_bits(rows, np.array([[[1.0] * 3], [[0.0] * 3]], np.float32))


def test_wide_integers_do_not_wrap_into_the_grid():
    where = np.array([[2**32, 0], [0, 0]])  # 0 in 32 bits
    table = jnp.ones((20, 3), jnp.float32)
    apply = jax.jit(
        lambda m: F.resized_positions_at(
            table, OLD, np.array(OLD), where, mask=m, **BILINEAR
        )
    )
    rows = apply(jnp.array([True, True]))
    assert bool(jnp.isnan(rows[0]).all())
    assert_same_bits(rows[1], np.ones(3, np.float32))


@pytest.mark.parametrize("options", CONVENTIONS)
@pytest.mark.parametrize("size", (0, -3, 2**30, 2**31 - 1))
def test_sizes_out_of_range_give_nan_and_no_gradient(options, size):
    table, where = jnp.ones((20, 3)), jnp.array([[0, 0]])
    apply = jax.jit(lambda t, g: F.resized_positions_at(t, OLD, g, where, **options))
    for grid in (jnp.array([size, 7]), jnp.array([3, size])):
        assert bool(jnp.isnan(apply(table, grid)).all())
        gradient = jax.grad(lambda t, g=grid: apply(t, g).sum())(table)
        np.testing.assert_array_equal(gradient, 0.0)


def test_rows_of_nan_add_nothing_to_the_gradient():
    apply = jax.jit(
        lambda t, c: F.resized_positions_at(t, OLD, np.array([3, 7]), c, **BILINEAR)
    )
    where = jnp.array([[3, 0], [2, 6]])
    table = jnp.ones((20, 3))
    both = jax.grad(lambda t: apply(t, where).sum())(table)
    alone = jax.grad(lambda t: apply(t, where[1:]).sum())(table)
    assert_same_bits(both, alone)


@pytest.mark.parametrize("dtype", (np.int8, np.uint16, np.uint32, np.int64, np.uint64))
def test_integers_of_every_width(dtype):
    table = jnp.asarray(np.random.default_rng(0).normal(size=(20, 3)), jnp.float32)
    grids, coordinates, mask = packed()
    coordinates = np.where(mask[..., None], coordinates, 0)
    expected = F.resized_positions_at(
        table, OLD, grids, coordinates, mask=mask, **BILINEAR
    )
    actual = F.resized_positions_at(
        table,
        OLD,
        grids.astype(dtype),
        coordinates.astype(dtype),
        mask=mask,
        **BILINEAR,
    )
    assert_same_bits(actual, expected)


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"new_grids": np.array([3, 0])}, r"new_grids\[1\]=0 must lie in \[1, "),
        (
            {"coordinates": np.array([[0, 0], [1, 7]])},
            r"coordinates\[1, 1\]=7 must lie in the grid \(3, 7\); pass a mask",
        ),
        ({"coordinates": np.array([[0, -2]])}, r"coordinates\[0, 1\]=-2 must lie in"),
        ({"coordinates": np.zeros((2, 2))}, "coordinates.dtype=float64 must be"),
        ({"old_grid": (4, 6)}, r"table.shape=\(20, 3\) must be \(4 \* 6, d_model\)"),
        ({"new_grids": np.array([3, 7, 1])}, r"new_grids.shape=\(3,\) must be"),
        (
            {"coordinates": np.zeros((2, 2, 2), int)},
            r"new_grids.shape=\(2,\) must be \(2, 2\), a size for each image, or",
        ),
        ({"mask": np.ones(3, bool)}, r"mask.shape=\(3,\) must be \(2,\)"),
        ({"mask": np.ones(2, int)}, "mask.dtype=dtype.'int64'. must be bool"),
        ({"coordinates": np.zeros(2, int)}, r"coordinates.shape=\(2,\) must be"),
        ({"method": "lanczos"}, "method='lanczos' must be"),
        ({"dtype": jnp.int32}, "dtype=int32 must be a real float dtype"),
    ),
)
def test_what_does_not_fit_is_refused(changed, message):
    arguments = {
        "old_grid": OLD,
        "new_grids": np.array([3, 7]),
        "coordinates": np.array([[0, 0], [2, 6]]),
        **BILINEAR,
        **changed,
    }
    with refused(f"resized_positions_at: {message}"):
        F.resized_positions_at(jnp.ones((20, 3)), **arguments)
