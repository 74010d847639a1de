import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sinusoid_oracles as so
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F
from attnax.interop import grid_sinusoid_options

NEAR, FAR = 1.2e-7, 6e-7
# Coprime, so that no exchange of rows and columns goes unseen; the smallest too.
GRIDS = ((3, 5), (7, 4), (1, 2), (2, 9), (8, 3), (5, 1), (1, 1))
WIDTHS = (4, 12, 64)
VIDEOS = ((2, 3, 5), (4, 5, 3), (1, 1, 2), (3, 7, 4), (5, 2, 9), (2, 8, 3))
# The patches of all of them as those of one: no row depends on the others.
PATCHES = np.concatenate([F.positions_from_grid(sizes) for sizes in GRIDS])
OF_VIDEOS = np.concatenate([F.positions_from_grid(sizes) for sizes in VIDEOS])
SMALLEST = [(PATCHES[-1:], WIDTHS[0])]

FAMILIES = (
    ("rt_detr", so.grid_rows_first),
    ("aimv2", so.grid_columns_first),
    ("mae", so.grid_columns_first),
    ("big_vision", so.big_vision),
    ("timm", so.timm),
)


def error(actual, expected):
    assert actual.dtype == jnp.float32
    assert actual.shape == expected.shape
    return np.abs(np.asarray(actual, np.float64) - expected).max()


@pytest.mark.parametrize("patches, width", [(PATCHES, w) for w in WIDTHS] + SMALLEST)
@pytest.mark.parametrize("family, oracle", FAMILIES)
def test_families_on_grids(family, oracle, patches, width):
    actual = F.grid_sinusoids(patches, width, **grid_sinusoid_options(family))
    assert error(actual, oracle(patches, width)) <= NEAR


@pytest.mark.parametrize(
    "family, options, oracle, prefix",
    (
        ("vit_mae", {}, so.grid_columns_first, 1),
        ("vit_mae", {"cls_token": False}, so.grid_columns_first, 0),
        ("mae", {"cls_token": True}, so.grid_columns_first, 1),
        ("moco_v3", {}, so.grid_rows_first, 1),
        ("rt_detr", {"cls_token": True}, so.grid_rows_first, 1),
        ("timm", {"interleave_sin_cos": True}, so.grid_rows_first, 0),
    ),
)
def test_families_with_settings(family, options, oracle, prefix):
    actual = F.grid_sinusoids(PATCHES, 12, **grid_sinusoid_options(family, **options))
    assert not np.asarray(actual[:prefix]).any()
    assert error(actual[prefix:], oracle(PATCHES, 12)) <= NEAR


@pytest.mark.parametrize("sizes", GRIDS)
def test_diffusers_scales_positions_exactly(sizes):
    options = grid_sinusoid_options(
        "diffusers", grid_size=sizes, base_size=7, interpolation_scale=1.875
    )
    scales = [7 / size / 1.875 for size in sizes]
    expected = so.grid_columns_first(PATCHES, 12, scales)
    assert error(F.grid_sinusoids(PATCHES, 12, **options), expected) <= NEAR


@pytest.mark.parametrize("width", (16, 48))
def test_cogvideox_gives_frames_a_quarter(width):
    options = grid_sinusoid_options(
        "cogvideox", spatial_interpolation_scale=1.875, temporal_interpolation_scale=0.5
    )
    expected = so.cogvideox(OF_VIDEOS, width, (2.0, 1 / 1.875, 1 / 1.875))
    assert error(F.grid_sinusoids(OF_VIDEOS, width, **options), expected) <= NEAR


@given(data=st.data(), far=st.booleans())
def test_any_int32_coordinate(data, far):
    coordinates = data.draw(ax.positions((4, 2), far=far))
    actual = F.grid_sinusoids(coordinates, 12)
    expected = so.grid_rows_first(coordinates, 12)
    assert error(actual, expected) <= (FAR if far else NEAR)


@pytest.mark.parametrize("grid, width", [(PATCHES, w) for w in WIDTHS] + SMALLEST)
def test_each_axis_is_a_sinusoid_of_its_own(grid, width):
    for layout in ("interleaved", "sin_cos", "cos_sin"):
        options = {"layout": layout, "frequency_shift": 0.25, "base": 100.0}
        actual = F.grid_sinusoids(
            grid, width, axis_order=(1, 0), position_scale=(1.0, 2.5), **options
        )
        of_columns = F.sinusoids(grid[:, 1], width // 2, position_scale=2.5, **options)
        of_rows = F.sinusoids(grid[:, 0], width // 2, **options)
        assert_same_bits(actual, np.concatenate([of_columns, of_rows], -1))


def test_shares_are_ratios():
    actual = F.grid_sinusoids(PATCHES, 4, axis_shares=(2, 2))
    assert_same_bits(actual, F.grid_sinusoids(PATCHES, 4))


def test_one_axis_is_the_sinusoids():
    positions = np.arange(5, dtype=np.int32)
    actual = F.grid_sinusoids(positions[:, None], 6, layout="interleaved")
    assert_same_bits(actual, F.sinusoids(positions, 6))


@pytest.mark.parametrize("grid", (OF_VIDEOS, OF_VIDEOS[-1:]), ids=len)
@pytest.mark.parametrize("layout", ("sin_cos", "cos_sin"))
def test_one_block_of_all_axes_moves_features_only(layout, grid):
    options = {"axis_order": (2, 0, 1), "axis_shares": (1, 2, 3), "layout": layout}
    of_each = np.asarray(F.grid_sinusoids(grid, 24, **options))
    of_all = F.grid_sinusoids(grid, 24, per_axis=False, **options)
    first = np.concatenate([of_each[:, 0:6], of_each[:, 12:14], of_each[:, 16:20]], -1)
    second = np.concatenate([of_each[:, 6:12], of_each[:, 14:16], of_each[:, 20:]], -1)
    assert_same_bits(of_all, np.concatenate([first, second], -1))


def test_interleaved_needs_no_blocks():
    of_each = F.grid_sinusoids(PATCHES, 12, layout="interleaved")
    of_all = F.grid_sinusoids(PATCHES, 12, layout="interleaved", per_axis=False)
    assert_same_bits(of_all, of_each)


@pytest.mark.parametrize(
    "option",
    (
        {"axis_order": (1, 0)},
        {"axis_shares": (1, 2)},
        {"base": 100.0},
        {"frequency_shift": 1.0},
        {"position_scale": 2.0},
        {"position_scale": (1.0, 0.5)},
        {"layout": "cos_sin"},
        {"layout": "interleaved"},
        {"per_axis": False},
        {"num_prefix_tokens": 1},
    ),
    ids=str,
)
def test_each_option_alone_changes_the_result(option):
    plain = np.asarray(F.grid_sinusoids(PATCHES, 12))
    changed = np.asarray(F.grid_sinusoids(PATCHES, 12, **option))
    assert np.abs(changed[: len(plain)] - plain).max() > 1e-3


def with_prefix(coordinates):
    return F.grid_sinusoids(
        coordinates,
        12,
        axis_order=(1, 0),
        position_scale=(0.5, 3.0),
        num_prefix_tokens=2,
    )


@given(data=st.data())
def test_batch_equals_vmap_and_jit_equals_eager(data):
    coordinates = jnp.asarray(data.draw(ax.positions((2, 3, 5, 2))))
    eager = with_prefix(coordinates)
    assert eager.shape == (2, 3, 7, 12)
    assert_same_bits(jax.vmap(jax.vmap(with_prefix))(coordinates), eager)
    assert_same_bits(jax.jit(with_prefix)(coordinates), eager)


@pytest.mark.parametrize("layout", ("interleaved", "sin_cos", "cos_sin"))
@pytest.mark.parametrize("numerics", ("exact", "float32"))
def test_no_patches_are_no_rows(layout, numerics):
    options = {"layout": layout, "numerics": numerics, "axis_order": (1, 0)}
    for shape in ((0, 2), (3, 0, 2), (0, 5, 2)):
        coordinates = np.zeros(shape, np.int32)
        assert F.grid_sinusoids(coordinates, 8, **options).shape == (*shape[:-1], 8)
        rows = F.grid_sinusoids(coordinates, 8, num_prefix_tokens=1, **options)
        assert rows.shape == (*shape[:-2], shape[-2] + 1, 8)


@pytest.mark.parametrize("shape", ((0, 3, 2), (4, 0, 3), (4, 3, 0)))
def test_no_pixels_are_no_features(shape):
    make = jitted(F.detr_sinusoids)
    for options in ({}, {"scale": None}, {"pixel_centers": True}):
        assert make(np.zeros(shape, bool), 8, **options).shape == (*shape, 8)


def test_float32_of_integers_that_leave_int32():
    make = lambda c: F.grid_sinusoids(c, 8, numerics="float32")
    grid = F.positions_from_grid((3, 5))
    assert_same_bits(make(grid), make(grid.astype(np.float32)))
    coordinates = np.array([[1, 2**31], [2**31 - 1, 5], [2**31, 0]], np.uint32)
    rows = np.asarray(jax.jit(make)(jnp.asarray(coordinates)))
    np.testing.assert_array_equal(np.isnan(rows).all(-1), [True, False, True])
    np.testing.assert_array_equal(np.isnan(rows).any(-1), [True, False, True])


def test_ragged_grids_of_traced_sizes():
    # Packed: 2 x 3 patches of one image, then 4 x 1 of another, each spread over 16.
    sizes = np.array([[2, 3]] * 6 + [[4, 1]] * 4, np.float32)
    grids = [F.positions_from_grid(s) for s in ((2, 3), (4, 1))]

    @jax.jit
    def make(coordinates, sizes):
        spread = coordinates.astype(jnp.float32) * (16 / sizes)
        return F.grid_sinusoids(spread, 12, axis_order=(1, 0), numerics="float32")

    actual = make(np.concatenate(grids), sizes)
    start = 0
    for grid, size in zip(grids, ((2, 3), (4, 1)), strict=True):
        expected = so.grid_columns_first(grid, 12, [16 / side for side in size])
        part = actual[start : start + len(grid)]
        # The quotient, the position, the frequency and the angle, each rounded once.
        assert error(part, expected) <= 16 * 4 * 2.0**-24 + 2 * NEAR
        start += len(grid)


def test_gradient_of_fractional_coordinates():
    coordinates = jnp.array([[0.25, 3.5], [7.0, -1.5]])
    make = lambda c: F.grid_sinusoids(c, 8, numerics="float32")
    _, tangent = jax.jvp(make, (coordinates,), (jnp.array([[1.0, 0.0]] * 2),))
    angle = np.asarray(coordinates, np.float64)[:, :1] * [1.0, 0.01]
    moved = np.concatenate([np.cos(angle), -np.sin(angle)], -1)
    moved = moved * [1.0, 0.01, 1.0, 0.01]
    expected = np.concatenate([moved, np.zeros((2, 4))], -1)
    np.testing.assert_allclose(tangent, expected, rtol=0, atol=2.0**-20)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("layout", ("interleaved", "sin_cos"))
def test_sharded_coordinates(axis_type, layout):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    coordinates = np.arange(48, dtype=np.int32).reshape(4, 6, 2)
    make = lambda c: F.grid_sinusoids(c, 8, layout=layout, axis_order=(1, 0))
    expected = make(coordinates)
    with jax.set_mesh(mesh):
        wanted = NamedSharding(mesh, P("a", "b"))
        actual = jax.jit(make)(jax.device_put(coordinates, wanted))
        assert_same_bits(actual, expected)
        assert actual.sharding.is_equivalent_to(wanted, 3)


def test_traced_coordinates_outside_int32_are_nan_rows():
    coordinates = np.array([[1, 2**31], [2**31 - 1, 5], [2**31, 0]], np.uint32)
    make = jax.jit(lambda c: F.grid_sinusoids(c, 8, num_prefix_tokens=1))
    rows = np.asarray(make(jnp.asarray(coordinates)))
    np.testing.assert_array_equal(np.isnan(rows).all(-1), [False, True, False, True])
    np.testing.assert_array_equal(np.isnan(rows).any(-1), [False, True, False, True])


@pytest.mark.errors
@pytest.mark.parametrize(
    "d_model, options, message",
    (
        (6, {}, "d_model=6 must be a positive multiple of 4, so that every axis of"),
        (0, {}, "d_model=0 must be a positive multiple of 4"),
        (-4, {}, "d_model=-4 must be a positive multiple of 4"),
        (8, {"axis_shares": (1, 2)}, "d_model=8 must be a positive multiple of 6"),
        (
            8,
            {"axis_shares": (1, 2, 1)},
            r"axis_shares=\(1, 2, 1\) must be positive, one",
        ),
        (8, {"axis_shares": (0, 1)}, r"axis_shares=\(0, 1\) must be positive, one"),
        (8, {"axis_order": (1, 1)}, r"axis_order=\(1, 1\) must name each of the 2"),
        (8, {"axis_order": (0,)}, r"axis_order=\(0,\) must name each of the 2"),
        (8, {"axis_order": (0, 1, 2)}, r"axis_order=\(0, 1, 2\) must name each"),
        (
            8,
            {"position_scale": (1.0,)},
            r"position_scale=\(1.0,\) must be a number, or",
        ),
        (
            8,
            {"position_scale": (1.0, 0.0)},
            r"position_scale\[1\]=0.0 must be finite and",
        ),
        (8, {"frequency_shift": 2.0}, "frequency_shift=2.0 must be below 2"),
        (8, {"base": 0.0}, "base=0.0 must be a finite number of at least 1"),
        (8, {"layout": "half"}, "layout='half' must be 'interleaved', 'sin_cos' or"),
        (
            8,
            {"num_prefix_tokens": -1},
            "num_prefix_tokens=-1 must be an integer of at least 0",
        ),
        (8, {"numerics": "float64"}, "numerics='float64' must be 'exact' or 'float32'"),
    ),
)
def test_options_are_checked(d_model, options, message):
    grid = F.positions_from_grid((3, 5))
    with pytest.raises(ValueError, match=f"^grid_sinusoids: {message}"):
        F.grid_sinusoids(grid, d_model, **options)


@pytest.mark.errors
def test_coordinates_are_checked():
    with refused(r"coordinates.shape=\(5,\) must be \(..., num_patches, num_axes\)"):
        F.grid_sinusoids(np.arange(5), 8)
    with pytest.raises(ValueError, match=r"coordinates.shape=\(5, 0\) must be"):
        F.grid_sinusoids(np.zeros((5, 0), np.int32), 8)
    message = "coordinates.dtype=float32 must be integer; pass numerics='float32'"
    with pytest.raises(ValueError, match=message):
        F.grid_sinusoids(np.ones((3, 2), np.float32), 8)
    message = r"coordinates\[0, 1\]=2147483648 must lie in"
    for numerics in ("exact", "float32"):
        with pytest.raises(ValueError, match=message):
            F.grid_sinusoids(np.array([[0, 2**31]]), 8, numerics=numerics)
    for dtype in ("bool", "complex64"):
        with refused(f"coordinates.dtype={dtype} must be integer or a real float"):
            F.grid_sinusoids(np.ones((3, 2), dtype), 8, numerics="float32")
