import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resize_oracles
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from resize_oracles import BILINEAR, CONVENTIONS, SIZE

import attnax.functional as F
from conformance.embeddings import resizing
from conformance.embeddings.records import load

conventions = st.sampled_from(CONVENTIONS)
# Old and new: up, down, one of each, one axis alone, single rows, coprime sides.
grids = st.sampled_from(
    (
        ((3, 4), (5, 7)),
        ((7, 5), (3, 4)),
        ((3, 8), (7, 5)),
        ((4, 5), (4, 9)),
        ((1, 6), (4, 1)),
        ((1, 1), (3, 2)),
        ((5, 2), (1, 1)),
    )
)
resize_positions = jitted(F.resize_positions)


@jitted
def derivatives(table, tangent, cotangent, *pair, **options):
    """The tangent of the resized table, and the gradient of the old one."""
    resize = lambda t: F.resize_positions(t, *pair, **options)
    pushed = jax.jvp(resize, (table,), (tangent,))[1]
    return pushed, jax.vjp(resize, table)[1](cotangent)[0]


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


# What is copied and what is rounded are the same for every convention.
few_grids = st.sampled_from((((3, 8), (7, 5)), ((4, 5), (4, 9))))
few_conventions = st.sampled_from((BILINEAR, CONVENTIONS[4]))


def draw_table(data, grid, dtype=jnp.float32, *, prefix=0, d_model=3):
    shape = (prefix + grid[0] * grid[1], d_model)
    return data.draw(ax.floats(shape, dtype))


@given(data=st.data(), pair=grids, resampling=conventions, dtype=ax.dtypes)
def test_each_position_is_the_weighted_sum_of_the_definition(
    data, pair, resampling, dtype
):
    old, new = pair
    prefix = data.draw(st.sampled_from((0, 2)))
    table = draw_table(data, old, dtype, prefix=prefix)
    actual = resize_positions(
        table, old, new, num_prefix_tokens=prefix, resampling=resampling
    )
    assert actual.dtype == dtype
    expected = resize_oracles.resized(table, old, new, resampling, prefix)
    # Rounded: the weights, and sums of up to 8 terms along each axis.
    assert_close(actual, expected, magnitude=SIZE, roundings=20)


@given(data=st.data(), resampling=conventions, prefix=st.sampled_from((0, 1)))
def test_the_same_grid_is_the_table_itself(data, resampling, prefix):
    table = draw_table(data, (3, 5), jnp.bfloat16, prefix=prefix)
    same = F.resize_positions(
        table, (3, 5), (3, 5), num_prefix_tokens=prefix, resampling=resampling
    )
    assert same is table


@given(
    data=st.data(), pair=few_grids, resampling=few_conventions, dtype=ax.narrow_dtypes
)
def test_prefix_passes_bit_for_bit(data, pair, resampling, dtype):
    old, new = pair
    table = np.asarray(draw_table(data, old, dtype, prefix=2))
    actual = resize_positions(
        table, old, new, num_prefix_tokens=2, resampling=resampling
    )
    actual = np.asarray(actual)
    assert_same_bits(actual[:2], table[:2])
    without = resize_positions(table[2:], old, new, resampling)
    assert_same_bits(actual[2:], without)


@given(
    data=st.data(), pair=few_grids, resampling=few_conventions, dtype=ax.narrow_dtypes
)
def test_low_precision_is_float32_rounded_once(data, pair, resampling, dtype):
    table = draw_table(data, pair[0], dtype)
    actual = resize_positions(table, *pair, resampling)
    wide = resize_positions(np.asarray(table, np.float32), *pair, resampling)
    assert_same_bits(actual, np.asarray(wide).astype(dtype))


@given(data=st.data(), pair=grids, resampling=conventions)
def test_rows_and_columns_are_alike(data, pair, resampling):
    (old_rows, old_columns), (new_rows, new_columns) = pair
    table = np.asarray(draw_table(data, pair[0]))
    turned = table.reshape(old_rows, old_columns, -1).swapaxes(0, 1)
    actual = resize_positions(
        turned.reshape(table.shape),
        (old_columns, old_rows),
        (new_columns, new_rows),
        resampling=resampling,
    )
    expected = np.asarray(resize_positions(table, *pair, resampling))
    expected = expected.reshape(new_rows, new_columns, -1).swapaxes(0, 1)
    expected = expected.reshape(actual.shape)
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@pytest.mark.parametrize("resampling", CONVENTIONS)
@pytest.mark.parametrize("old, new", (((3, 4), (3, 6)), ((3, 5), (2, 5))))
def test_an_axis_that_keeps_its_size(old, new, resampling):
    # `test_resize_at.py` has the same of single positions.
    table = normal(old[0] * old[1], 2)
    expected = resize_oracles.resized(table, old, new, resampling)
    actual = resize_positions(table, old, new, resampling)
    assert_close(actual, expected, magnitude=SIZE, roundings=20)


@given(pair=grids, resampling=conventions)
def test_a_constant_stays_constant(pair, resampling):
    table = np.full((pair[0][0] * pair[0][1], 3), 3.0, np.float32)
    actual = resize_positions(table, *pair, resampling)
    assert_close(actual, np.full(actual.shape, 3.0), magnitude=SIZE, roundings=20)


@pytest.mark.parametrize("resampling", CONVENTIONS[:6])
def test_a_mirrored_grid_resizes_to_the_mirror(resampling):
    table = normal(5 * 6, 2)
    mirrored = table.reshape(5, 6, 2)[::-1].reshape(-1, 2)
    actual = resize_positions(mirrored, (5, 6), (8, 7), resampling)
    expected = resize_positions(table, (5, 6), (8, 7), resampling)
    expected = np.asarray(expected).reshape(8, 7, 2)[::-1].reshape(-1, 2)
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@given(data=st.data(), pair=grids, resampling=conventions)
def test_gradient_is_the_transposed_map(data, pair, resampling):
    table = draw_table(data, pair[0])
    cotangent = draw_table(data, pair[1])
    tangent = draw_table(data, pair[0])
    forward, gradient = derivatives(table, tangent, cotangent, *pair, resampling)
    left = np.vdot(np.asarray(gradient, np.float64), np.asarray(tangent))
    right = np.vdot(np.asarray(forward, np.float64), np.asarray(cotangent))
    size = 8 * SIZE * cotangent.size * 2.0**-20
    np.testing.assert_allclose(left, right, rtol=0, atol=size)


@pytest.mark.parametrize("resampling", CONVENTIONS)
def test_vmap_takes_a_batch_of_tables(resampling):
    tables = normal(3, 12, 2)
    resize = lambda t: F.resize_positions(t, (3, 4), (5, 7), resampling)
    actual = jax.jit(jax.vmap(resize))(tables)
    one = lambda t: resize_positions(t, (3, 4), (5, 7), resampling)
    expected = np.stack([one(t) for t in tables])
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@pytest.mark.parametrize("spec", (P(), P("a", None), P(None, "b")))
def test_sharded_tables_under_an_explicit_mesh(spec):
    table = normal(14, 4)
    settings = {"num_prefix_tokens": 2, "resampling": BILINEAR}
    resize = lambda t: F.resize_positions(t, (3, 4), (5, 7), **settings)
    expected = np.asarray(resize_positions(table, (3, 4), (5, 7), **settings))
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        table = jax.device_put(table, NamedSharding(mesh, spec))
        assert_close(jax.jit(resize)(table), expected, magnitude=SIZE)
        assert_close(resize(table), expected, magnitude=SIZE)


def test_sizes_of_dinov2_that_need_its_offset():
    # A scale of `size / 37` would lose a row in float64 at these sizes: hence 0.1 more.
    lost = [size for size in range(1, 147) if int(37 * (size / 37)) != size]
    assert lost
    sizes = 1, 36, 37, 38, 146, *lost
    resampling = CONVENTIONS[6]
    assert resampling == F.Resampling("bicubic", antialias=False, offset=0.1)
    resize = lambda t, size: F.resize_positions(t, (1, 37), (1, size), resampling)
    outs = jax.jit(lambda t: [resize(t, size) for size in sizes])(normal(37, 1))
    for size, out in zip(sizes, outs, strict=True):
        assert out.shape == (size, 1)
        assert np.isfinite(out).all()


@pytest.mark.parametrize(
    "record", load("resizing"), ids=lambda record: record.name.replace(" ", "")
)
def test_each_family_is_resized_as_its_own_code_does(record):
    error = np.abs(resizing.ours(record) - record.arrays["expected"]).max()
    assert error <= resizing.tolerance(record) < 1e-5


def test_golden_grids_tell_the_conventions_apart():
    # Else a wrong preset would agree.
    by_size = {}
    for record in load("resizing"):
        grid = tuple(record.options["new_grid"])
        by_size.setdefault(grid, []).append(record.arrays["expected"])
    for grid, tables in by_size.items():
        distinct = []
        for table in tables:
            if all(np.abs(table - other).max() > 1e-2 for other in distinct):
                distinct.append(table)
        # Antialiasing changes the triangle only where the grid shrinks.
        shrinks = min(grid) < resizing.SIDE
        assert len(distinct) == (6 if shrinks else 5), grid


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    (
        ({"old_grid": (3, 5)}, r"table.shape=\(12, 2\) must be \(3 \* 5, d_model\)"),
        (
            {"num_prefix_tokens": 1},
            r"table.shape=\(12, 2\) must be \(1 \+ 3 \* 4, d_model\) for "
            r"old_grid=\(3, 4\) and num_prefix_tokens=1\.$",
        ),
        ({"num_prefix_tokens": -1}, "num_prefix_tokens=-1 must be an integer of"),
        ({"new_grid": (0, 4)}, r"new_grid=\(0, 4\) must be .*positive integers"),
        ({"new_grid": (3, 4, 5)}, r"new_grid=\(3, 4, 5\) must be \(rows, columns\)"),
        (
            {"new_grid": (3.0, 4)},
            r"new_grid=\(3.0, 4\) must be .*positive integers",
        ),
        ({"num_prefix_tokens": 1.0}, "num_prefix_tokens=1.0 must be an integer"),
        ({"resampling": {}}, "resampling={} must be an attnax.functional.Resampling"),
        ({"resampling": "vit"}, "resampling='vit' must be .*interop.resampling"),
    ),
)
def test_what_cannot_be_resized_is_refused(changed, message):
    arguments = {
        "old_grid": (3, 4),
        "new_grid": (5, 7),
        "resampling": BILINEAR,
        **changed,
    }
    with refused(f"resize_positions: {message}"):
        F.resize_positions(host.zeros((12, 2)), **arguments)


def test_a_table_without_features():
    assert F.resize_positions(host.ones((12, 0)), (3, 4), (5, 2), BILINEAR).shape == (
        10,
        0,
    )


@pytest.mark.errors
def test_a_table_of_integers_is_refused():
    with refused("table.dtype=int32 must be a real float dtype"):
        F.resize_positions(host.zeros((12, 2), jnp.int32), (3, 4), (5, 7), BILINEAR)
