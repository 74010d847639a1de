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

conventions = st.sampled_from(CONVENTIONS)
OLD = (4, 5)
GRIDS = ((3, 7), (8, 3), (4, 5), (1, 2))
LENGTH = 26
TABLE = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
traces = []


@jitted
def at(*args, **options):
    traces.append(options)
    return F.resize_positions_at(*args, **options)


@jitted
def rows_and_gradient(table, cotangent, old, *arrays, **options):
    apply = lambda t: F.resize_positions_at(t, old, *arrays, **options)
    rows, pullback = jax.vjp(apply, table)
    return rows, pullback(cotangent)[0]


@jitted
def tangent_of(table, tangent, old, *arrays, **options):
    apply = lambda t: F.resize_positions_at(t, old, *arrays, **options)
    return jax.jvp(apply, (table,), (tangent,))[1]


@jitted
def mapped(table, old, *arrays, **options):
    apply = lambda g, c, m: F.resize_positions_at(table, old, g, c, mask=m, **options)
    return jax.vmap(apply)(*arrays)


# Taps, corners, a product with the whole table, and an offset: the others differ from
# these in their numbers alone, not in how axes are batched.
KINDS = 0, 2, 4, 6


def quickly(*indices):
    """All conventions; those that are not of `indices` are slow."""
    slow = lambda i: () if i in indices else pytest.mark.slow
    return [pytest.param(c, marks=slow(i)) for i, c in enumerate(CONVENTIONS)]


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


def expected_rows(table, grids, coordinates, mask, resampling):
    out = np.zeros((*mask.shape, table.shape[-1]))
    for image, grid in enumerate(grids.tolist()):
        resized = resize_oracles.resized(table, OLD, grid, resampling)
        for token in np.flatnonzero(mask[image]):
            row, column = coordinates[image, token]
            out[image, token] = resized[row * grid[1] + column]
    return out


def draw_table(data, dtype=jnp.float32):
    return data.draw(ax.floats((OLD[0] * OLD[1], 3), dtype))


@given(data=st.data(), resampling=conventions, dtype=ax.dtypes)
def test_rows_are_those_of_each_resized_grid(data, resampling, dtype):
    table = draw_table(data, dtype)
    order = np.random.default_rng(data.draw(st.integers(0, 9)))
    arrays = packed(order=order)
    expected = expected_rows(table, *arrays, resampling)
    actual = at(table, OLD, *arrays[:2], mask=arrays[2], resampling=resampling)
    assert actual.dtype == dtype
    # Rounded: the weights of each axis and sums of 16 or 20 terms.
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@pytest.mark.parametrize("resampling", quickly(0, 4, 8))
def test_rows_outside_jit_are_those_of_each_resized_grid(resampling):
    arrays = packed(order=np.random.default_rng(1))
    expected = expected_rows(TABLE, *arrays, resampling)
    *arrays, mask = arrays
    actual = F.resize_positions_at(
        TABLE, OLD, *arrays, mask=mask, resampling=resampling
    )
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@given(data=st.data(), resampling=conventions, dtype=ax.narrow_dtypes)
def test_low_precision_is_float32_rounded_once(data, resampling, dtype):
    table, (grids, coordinates, mask) = draw_table(data, dtype), packed()
    arguments = OLD, grids, coordinates
    settings = {"mask": mask, "resampling": resampling}
    actual = F.resize_positions_at(table, *arguments, **settings)
    wide = F.resize_positions_at(table.astype(jnp.float32), *arguments, **settings)
    assert_same_bits(actual, wide.astype(dtype))
    kept = F.resize_positions_at(table, *arguments, dtype=jnp.float32, **settings)
    assert_same_bits(kept, wide)


@pytest.mark.parametrize("resampling", quickly(*KINDS))
def test_one_program_serves_every_size(resampling):
    compiles = []
    for grids in (GRIDS, ((2, 13), (6, 4), (5, 4), (26, 1))):
        *arrays, mask = packed(grids)
        expected = expected_rows(TABLE, *arrays, mask, resampling)
        actual = at(TABLE, OLD, *arrays, mask=mask, resampling=resampling)
        assert_close(actual, expected, magnitude=SIZE, roundings=40)
        compiles.append(len(traces))
    assert compiles[0] == compiles[1] > 0


@pytest.mark.parametrize("resampling", quickly(*KINDS))
def test_an_axis_that_keeps_its_size(resampling):
    *arrays, mask = packed(((4, 6), (2, 5), (4, 2), (5, 5)))
    expected = expected_rows(TABLE, *arrays, mask, resampling)
    actual = at(TABLE, OLD, *arrays, mask=mask, resampling=resampling)
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@pytest.mark.parametrize("resampling", quickly(*KINDS))
def test_a_sequence_of_several_images_has_a_size_for_each_patch(resampling):
    grids, coordinates, mask = packed()
    each = np.broadcast_to(grids[:, None], coordinates.shape)
    expected = at(TABLE, OLD, grids, coordinates, mask=mask, resampling=resampling)
    joined = [t.reshape(-1, *t.shape[2:]) for t in (each, coordinates, mask)]
    actual = at(TABLE, OLD, *joined[:2], mask=joined[2], resampling=resampling)
    expected = np.asarray(expected).reshape(-1, 3)
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


@pytest.mark.parametrize("antialias", (False, True))
def test_no_images_and_no_patches(antialias):
    resampling = F.Resampling("bilinear", antialias)
    table = np.ones((20, 3), np.float32)  # NumPy tables as well
    for shape in ((0, 7), (2, 0)):
        grids = np.ones((shape[0], 2), int)
        where, mask = np.zeros((*shape, 2), int), np.ones(shape, bool)
        make = jax.jit(
            lambda g=grids, w=where, m=mask: F.resize_positions_at(
                table, OLD, g, w, mask=m, resampling=resampling
            )
        )
        assert make().shape == (*shape, 3)


def test_known_arrays_are_checked_inside_jit_as_well():
    table, (grids, coordinates, mask) = host.ones((20, 3)), packed()
    arrays = [jnp.asarray(t) for t in (grids, coordinates)]
    apply = lambda t, m: F.resize_positions_at(
        t, OLD, *arrays, mask=m, resampling=BILINEAR
    )
    known = jax.jit(lambda t: apply(t, jnp.asarray(mask)))(table)
    # XLA computes what is known by itself, and may round it otherwise.
    traced = np.asarray(jax.jit(apply)(table, mask))
    assert_close(known, traced, magnitude=SIZE)
    with pytest.raises(ValueError, match=r"coordinates\[0, 21, 0\]=-1 must lie in"):
        jax.jit(lambda t: F.resize_positions_at(t, OLD, *arrays, BILINEAR))(table)


SPECS = P(), P(None, "b"), P("b", None)


# Taps, a product with the whole table, and a choice between two results.
@pytest.mark.parametrize(
    "resampling, spec",
    (
        (CONVENTIONS[2], P(None, "b")),
        (CONVENTIONS[4], P("b", None)),
        (CONVENTIONS[8], P(None, "b")),
        *(
            pytest.param(CONVENTIONS[number], spec, marks=pytest.mark.slow)
            for number, spec in (
                (2, SPECS[0]),
                (2, SPECS[2]),
                (4, SPECS[0]),
                (4, SPECS[1]),
            )
        ),
    ),
)
def test_sharded_batches_under_an_explicit_mesh(resampling, spec):
    table = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    arrays = packed()
    expected = expected_rows(table, *arrays, resampling)

    def total(table, *arrays):
        *arrays, mask = arrays
        rows = F.resize_positions_at(
            table, OLD, *arrays, mask=mask, resampling=resampling
        )
        return rows.sum(), rows

    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        table = jax.device_put(table, NamedSharding(mesh, spec))
        arrays = jax.device_put(arrays, NamedSharding(mesh, P("a")))
        gradient, rows = jax.jit(jax.grad(total, has_aux=True))(table, *arrays)
        width = spec[1] if len(spec) > 1 else None
        assert jax.typeof(rows).sharding.spec == P("a", None, width)
        assert_close(rows, expected, magnitude=SIZE, roundings=40)
        assert jax.typeof(gradient).sharding == jax.typeof(table).sharding


@pytest.mark.parametrize("resampling", quickly(*KINDS))
def test_batch_is_vmap(resampling):
    *arrays, mask = packed()
    expected = np.asarray(at(TABLE, OLD, *arrays, mask=mask, resampling=resampling))
    actual = mapped(TABLE, OLD, *arrays, mask, resampling=resampling)
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


# Taps, a product with the whole table, and a choice between two results.
@pytest.mark.parametrize("resampling", CONVENTIONS[::4])
def test_batches_of_two_axes(resampling):
    *arrays, mask = packed()
    expected = np.asarray(at(TABLE, OLD, *arrays, mask=mask, resampling=resampling))
    *arrays, mask = (t.reshape(2, 2, *t.shape[1:]) for t in (*arrays, mask))
    actual = at(TABLE, OLD, *arrays, mask=mask, resampling=resampling)
    expected = expected.reshape(2, 2, *expected.shape[1:])
    assert_close(actual, expected, magnitude=SIZE, roundings=40)


# Small tables take a matrix product for their gradient, large ones add up taps; with
# antialiasing all take the product.
LARGE = 60, 61


def tables_and_cotangent(old):
    """Two tables, a cotangent of their rows, the next arguments, and the mask."""
    rng = np.random.default_rng(0)
    tables = rng.normal(size=(2, old[0] * old[1], 3)).astype(np.float32)
    *arrays, mask = packed()
    cotangent = rng.normal(size=(*mask.shape, 3)).astype(np.float32)
    return tables, cotangent, (old, *arrays), mask


@pytest.mark.parametrize(
    "resampling, old",
    [
        *(pytest.param(*c.values, OLD, marks=c.marks) for c in quickly(*KINDS)),
        *(pytest.param(*c.values, LARGE, marks=c.marks) for c in quickly(0, 8)),
    ],
)
def test_gradient_is_that_of_the_map(resampling, old):
    (table, tangent), cotangent, arguments, mask = tables_and_cotangent(old)
    settings = {"mask": mask, "resampling": resampling}
    out, gradient = rows_and_gradient(table, cotangent, *arguments, **settings)
    assert_close(out, np.asarray(at(table, *arguments, **settings)), magnitude=SIZE)
    # The map is linear: its gradient is its transpose.
    left = np.vdot(np.asarray(gradient, np.float64), tangent)
    pushed = np.asarray(at(tangent, *arguments, **settings), np.float64)
    right = np.vdot(pushed, cotangent)
    np.testing.assert_allclose(left, right, rtol=0, atol=1e-4 * np.sqrt(out.size))
    # What is masked adds nothing.
    cotangent[mask] = 0
    _, gradient = rows_and_gradient(table, cotangent, *arguments, **settings)
    assert not np.asarray(gradient).any()


# Gradients are made from tangents; these are one more program of each.
@pytest.mark.parametrize(
    "resampling, old",
    [
        *(pytest.param(*c.values, OLD, marks=c.marks) for c in quickly(0, 4, 8)),
        *(pytest.param(*c.values, LARGE, marks=c.marks) for c in quickly(0)),
    ],
)
def test_tangent_is_that_of_the_map(resampling, old):
    (table, tangent), _, arguments, mask = tables_and_cotangent(old)
    settings = {"mask": mask, "resampling": resampling}
    pushed = tangent_of(table, tangent, *arguments, **settings)
    expected = np.asarray(at(tangent, *arguments, **settings))
    assert_close(pushed, expected, magnitude=SIZE)


@pytest.mark.parametrize(
    "old, resampling, adds_up",
    (
        ((26, 27), BILINEAR, False),
        ((27, 27), BILINEAR, True),
        ((53, 54), CONVENTIONS[3], False),
        ((54, 54), CONVENTIONS[3], True),
        ((54, 54), CONVENTIONS[4], False),
    ),
)
def test_gradients_add_up_taps_only_in_large_tables(old, resampling, adds_up):
    where, sizes = np.zeros((1, 2), np.int32), np.array([3, 7])
    apply = lambda t: F.resize_positions_at(t, old, sizes, where, resampling).sum()
    program = str(jax.make_jaxpr(jax.grad(apply))(host.ones((old[0] * old[1], 2))))
    assert ("scatter-add" in program) == adds_up


@pytest.mark.device
def test_gradient_of_a_bfloat16_table_is_added_up_in_float32():
    old, count = (1, 2), 4096
    table = np.ones((2, 1), jnp.bfloat16)
    coordinates = np.zeros((count, 2), np.int32)
    apply = lambda t: F.resize_positions_at(
        t, old, np.array([1, 2]), coordinates, dtype=jnp.float32, resampling=BILINEAR
    )
    gradient = jax.jit(jax.grad(lambda t: (0.01 * apply(t)).sum()))(table)
    assert gradient.dtype == jnp.bfloat16
    assert float(gradient[0, 0]) == float(jnp.bfloat16(40.96))


@pytest.mark.parametrize("resampling", quickly(*KINDS))
@pytest.mark.parametrize(
    "grid, coordinate",
    (((3, 7), (3, 0)), ((3, 7), (0, 7)), ((3, 7), (-1, 0)), ((0, 7), (0, 0))),
)
def test_traced_values_out_of_range_give_nan_rows(resampling, grid, coordinate):
    table = np.ones((20, 3), np.float32)
    grids, coordinates, mask = packed()
    grids[0], coordinates[0, 0] = grid, coordinate
    rows = np.asarray(
        at(table, OLD, grids, coordinates, mask=mask, resampling=resampling)
    )
    assert np.isnan(rows[0, 0]).all()
    bad = np.zeros_like(mask)
    bad[0] = mask[0] if grid[0] == 0 else np.arange(LENGTH) == 0
    real = rows[mask & ~bad]
    assert_close(real, np.ones_like(real), magnitude=SIZE, roundings=40)
    mask[0, 0] = False
    rows = at(table, OLD, grids, coordinates, mask=mask, resampling=resampling)
    assert not np.asarray(rows)[0, 0].any()


@pytest.mark.parametrize("apply", (F.resize_positions_at, at))
def test_an_image_of_padding_alone_needs_no_size(apply):
    grids, coordinates, mask = packed()
    expected = expected_rows(TABLE, grids, coordinates, mask, BILINEAR)
    grids[1], mask[1], expected[1] = 0, False, 0
    rows = np.asarray(
        apply(TABLE, OLD, grids, coordinates, mask=mask, resampling=BILINEAR)
    )
    assert_close(rows, expected, magnitude=SIZE, roundings=40)
    assert_same_bits(rows[1], np.zeros((LENGTH, 3), np.float32))


def test_wide_integers_do_not_wrap_into_the_grid():
    where = np.array([[2**32, 0], [0, 0]])  # 0 in 32 bits
    table = host.ones((20, 3), jnp.float32)
    apply = jax.jit(
        lambda m: F.resize_positions_at(
            table, OLD, np.array(OLD), where, mask=m, resampling=BILINEAR
        )
    )
    rows = apply(jnp.array([True, True]))
    assert bool(jnp.isnan(rows[0]).all())
    assert_same_bits(rows[1], np.ones(3, np.float32))


@pytest.mark.parametrize("resampling", quickly(*KINDS))
# The limit is that of the longer axis of the table: 120 million is below 2**29 / 4.
@pytest.mark.parametrize("size", (0, -3, 120_000_000, 2**30, 2**31 - 1))
def test_sizes_out_of_range_give_nan_and_no_gradient(resampling, size):
    coordinates = np.zeros((4, LENGTH, 2), np.int32)
    # One row alone, that of the image whose size is out of range.
    cotangent = np.zeros((4, LENGTH, 3), np.float32)
    cotangent[0, 0] = 1
    mask = cotangent.any(-1)
    for grid in ((size, 7), (3, size)):
        grids = np.array([grid, *GRIDS[1:]], np.int32)
        arrays = OLD, grids, coordinates
        rows, gradient = rows_and_gradient(
            TABLE, cotangent, *arrays, mask=mask, resampling=resampling
        )
        assert np.isnan(rows[0, 0]).all()
        np.testing.assert_array_equal(gradient, 0.0)


@pytest.mark.parametrize("resampling", (BILINEAR, CONVENTIONS[4]))
def test_rows_of_nan_add_nothing_to_the_gradient(resampling):
    ones, sizes = np.ones((2, 3), np.float32), np.array([3, 7], np.int32)
    outside, inside = np.array([[3, 0], [2, 6]]), np.array([[2, 6], [2, 6]])
    rows, both = rows_and_gradient(TABLE, ones, OLD, sizes, outside, resampling)
    np.testing.assert_array_equal(np.isnan(rows), [[True] * 3, [False] * 3])
    ones[0] = 0
    _, alone = rows_and_gradient(TABLE, ones, OLD, sizes, inside, resampling)
    assert_same_bits(both, alone)


@pytest.mark.parametrize("dtype", (np.int8, np.uint16, np.uint32, np.int64, np.uint64))
def test_integers_of_every_width(dtype):
    table = host.asarray(TABLE)
    grids, coordinates, mask = packed()
    coordinates = np.where(mask[..., None], coordinates, 0)
    expected = F.resize_positions_at(
        table, OLD, grids, coordinates, mask=mask, resampling=BILINEAR
    )
    actual = F.resize_positions_at(
        table,
        OLD,
        grids.astype(dtype),
        coordinates.astype(dtype),
        mask=mask,
        resampling=BILINEAR,
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
        (
            {"old_grid": (4, 6)},
            r"table.shape=\(20, 3\) must be \(4 \* 6, d_model\) for "
            r"old_grid=\(4, 6\)\.$",
        ),
        ({"new_grids": np.array([3, 7, 1])}, r"new_grids.shape=\(3,\) must be"),
        (
            {"coordinates": np.zeros((2, 2, 2), int)},
            r"new_grids.shape=\(2,\) must be \(2, 2\), a size for each image, or",
        ),
        ({"mask": np.ones(3, bool)}, r"mask.shape=\(3,\) must be \(2,\)"),
        ({"coordinates": np.zeros(2, int)}, r"coordinates.shape=\(2,\) must be"),
        ({"resampling": "bicubic"}, "resampling='bicubic' must be an attnax"),
        ({"dtype": jnp.int32}, "dtype=int32 must be a real float dtype"),
    ),
)
def test_what_does_not_fit_is_refused(changed, message):
    arguments = {
        "old_grid": OLD,
        "new_grids": np.array([3, 7]),
        "coordinates": np.array([[0, 0], [2, 6]]),
        "resampling": BILINEAR,
        **changed,
    }
    with refused(f"resize_positions_at: {message}"):
        F.resize_positions_at(host.ones((20, 3)), **arguments)
