import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

import attnax.functional as F

BOUND = 1e-6  # of the docstring
sizes = st.integers(1, 40)
rules = st.sampled_from(("separate", "max", "min"))
coordinate_pairs = ax.floats((2, 5, 2), bound=1.0)


def center(index, size):
    """Siméoni et al. 2025, their code: the center of a patch, from -1 to 1."""
    return 2 * ((index + 0.5) / size) - 1


def periods_of(head_dim, base=None, shortest=None, longest=None):
    """Their two rules for the `head_dim / 4` periods of an axis."""
    count = head_dim // 4
    if base is not None:
        return [base ** (2 * k / (head_dim / 2)) for k in range(count)]
    ratio = longest / shortest
    return [shortest * ratio ** (k / max(count - 1, 1)) for k in range(count)]


def angles(coordinates, periods):
    """`(..., head_dim / 2)`: those of y, then those of x."""
    coordinates = np.asarray(coordinates, np.float64)
    return np.concatenate(
        [2 * np.pi * coordinates[..., axis, None] / periods for axis in (0, 1)], axis=-1
    )


def assert_cos_sin(actual, coordinates, periods):
    angle = angles(coordinates, periods)
    for one, expected in zip(actual, (np.cos(angle), np.sin(angle)), strict=True):
        assert one.dtype == jnp.float32
        assert one.shape == expected.shape
        # An angle of at most 2 pi has two roundings, 7.5e-7; cos and sin their own.
        assert np.abs(np.asarray(one, np.float64) - expected).max() <= BOUND


@given(rows=sizes, columns=sizes, rule=rules)
def test_coordinates_are_the_centers_of_the_patches(rows, columns, rule):
    actual = F.normalized_coordinates((rows, columns), normalize=rule)
    whole = {
        "separate": (rows, columns),
        "max": (max(rows, columns),) * 2,
        "min": (min(rows, columns),) * 2,
    }[rule]
    expected = [
        (center(row, whole[0]), center(column, whole[1]))
        for row in range(rows)
        for column in range(columns)
    ]
    assert isinstance(actual, np.ndarray)
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, np.array(expected, np.float32))


@given(rows=st.integers(1, 12), columns=st.integers(1, 12), rule=rules)
def test_finer_patches_have_the_coordinates_of_what_they_cover(rows, columns, rule):
    """Of each 3 x 3 that a patch is cut into, the middle one keeps its coordinates."""
    coarse = F.normalized_coordinates((rows, columns), normalize=rule)
    fine = F.normalized_coordinates((3 * rows, 3 * columns), normalize=rule)
    blocks = fine.reshape(rows, 3, columns, 3, 2)
    # Equal numbers in float64 but for its roundings, then rounded to float32: at most a
    # unit apart, of numbers below 80 (the longer side over the shorter, times 2).
    np.testing.assert_allclose(
        blocks[:, 1, :, 1], coarse.reshape(rows, columns, 2), rtol=2.0**-23, atol=1e-14
    )
    means = blocks.mean(axis=(1, 3), dtype=np.float64)
    np.testing.assert_allclose(means.reshape(-1, 2), coarse, rtol=0, atol=32 * 2.0**-23)


def test_rules_on_an_image_that_is_not_square():
    for rule, (down, right) in {
        "separate": (2 / 3, 2 / 5),
        "max": (2 / 5, 2 / 5),
        "min": (2 / 3, 2 / 3),
    }.items():
        grid = F.normalized_coordinates((3, 5), normalize=rule).reshape(3, 5, 2)
        # Differences of two numbers below 2.4, each rounded.
        close = {"rtol": 0, "atol": 2 * 2.4 * 2.0**-24}
        np.testing.assert_allclose(grid[1:, :, 0] - grid[:-1, :, 0], down, **close)
        np.testing.assert_allclose(grid[:, 1:, 1] - grid[:, :-1, 1], right, **close)
        assert (grid[1:, :, 1] == grid[:-1, :, 1]).all()
    square = {
        F.normalized_coordinates((4, 4), normalize=rule).tobytes()
        for rule in ("separate", "max", "min")
    }
    assert len(square) == 1


@given(coordinates=coordinate_pairs, base=st.sampled_from((1.0, 10.0, 100.0, 1e4)))
def test_cos_and_sin_are_within_the_stated_bound(coordinates, base):
    actual = F.normalized_cos_sin(coordinates, 64, base=base)
    assert_cos_sin(actual, coordinates, periods_of(64, base))


@pytest.mark.parametrize("head_dim", (4, 8, 12, 64, 96, 128))
def test_real_sizes_up_to_the_borders(head_dim):
    steps = np.linspace(-1, 1, 61, dtype=np.float32)
    coordinates = np.stack([steps, steps[::-1] ** 3], axis=-1)
    actual = F.normalized_cos_sin(coordinates, head_dim)
    assert_cos_sin(actual, coordinates, periods_of(head_dim, 100.0))
    actual = F.normalized_cos_sin(coordinates, head_dim, periods=(1.0, 32.0))
    assert_cos_sin(
        actual, coordinates, periods_of(head_dim, shortest=1.0, longest=32.0)
    )


def test_the_first_and_last_period_are_those_given():
    coordinates = np.array([[0.25, 0.0], [0.0, 0.25]], np.float32)
    _, sin = F.normalized_cos_sin(coordinates, 12, periods=(0.5, 8.0))
    quarter = 2 * np.pi * 0.25
    expected = np.sin(quarter / np.array([0.5, 2.0, 8.0]))
    np.testing.assert_allclose(sin[0, :3], expected, rtol=0, atol=BOUND)
    np.testing.assert_allclose(sin[1, 3:], expected, rtol=0, atol=BOUND)
    np.testing.assert_array_equal(sin[0, 3:], 0)
    np.testing.assert_array_equal(sin[1, :3], 0)


def test_rotates_as_the_model_does():
    """Its table holds the angles twice; class and register tokens come first."""
    prefix, head_dim = 5, 64
    coordinates = F.normalized_coordinates((5, 7))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, prefix + 35, 3, head_dim)).astype(np.float32)
    cos, sin = F.normalized_cos_sin(coordinates, head_dim)
    patches = F.apply_rope(jnp.asarray(x[:, prefix:]), cos[:, None], sin[:, None])
    angle = np.tile(angles(coordinates, periods_of(head_dim, 100.0)), 2)[:, None]
    wide = x[:, prefix:].astype(np.float64)
    a, b = np.split(wide, 2, axis=-1)
    expected = wide * np.cos(angle) + np.concatenate([-b, a], -1) * np.sin(angle)
    # Two products of cos and sin that are off by 1e-6, 8.4 units of float32.
    magnitude = float(np.abs(x).max())
    assert_close(patches, expected, magnitude=magnitude, roundings=2 * 8.4 + 2)


def test_the_resolution_does_not_change_where_a_patch_stands():
    """Cos and sin of the same place on grids of 4 x 6 and of 12 x 18 patches."""
    coarse = F.normalized_cos_sin(F.normalized_coordinates((4, 6)), 64)
    fine = F.normalized_cos_sin(F.normalized_coordinates((12, 18)), 64)
    for one, other in zip(coarse, fine, strict=True):
        middle = np.asarray(other).reshape(4, 3, 6, 3, 32)[:, 1, :, 1]
        # Coordinates below 1 in two roundings, each half a unit: 2 pi times one.
        np.testing.assert_allclose(
            middle.reshape(24, 32), one, rtol=0, atol=2 * BOUND + 2 * np.pi * 2.0**-24
        )


normalized = lambda coordinates: F.normalized_cos_sin(coordinates, 8)
compiled = jax.jit(normalized)


def test_numpy_jit_and_vmap_give_the_same_bits():
    coordinates = np.random.default_rng(0).uniform(-1, 1, (2, 5, 2)).astype(np.float32)
    expected = normalized(coordinates)
    for other in (
        normalized(jnp.asarray(coordinates)),
        normalized(coordinates.astype(np.float64)),
        compiled(coordinates),
        jax.vmap(normalized)(jnp.asarray(coordinates)),
    ):
        for actual, one in zip(other, expected, strict=True):
            assert_same_bits(actual, one)


def test_gradients_of_coordinates():
    """For learned shifts and scales: both modes, and against float64."""
    coordinates = jnp.asarray(F.normalized_coordinates((5, 7)))
    check_grads(compiled, (coordinates,), order=1, atol=2e-2, rtol=2e-2)
    rng = np.random.default_rng(0)
    g, h = (rng.normal(size=(35, 4)).astype(np.float32) for _ in range(2))

    def loss(coordinates):
        cos, sin = normalized(coordinates)
        return jnp.sum(cos * g + sin * h)

    actual = jax.jit(jax.grad(loss))(coordinates)
    periods = np.array(periods_of(8, 100.0))
    angle = angles(coordinates, periods)
    of_angle = -np.sin(angle) * g + np.cos(angle) * h
    per_axis = (of_angle.reshape(35, 2, 2) * 2 * np.pi / periods).sum(axis=-1)
    # Two pairs for each axis, of two terms below 4 that are off by 1e-6, times the
    # frequency of at most 2 pi; and four roundings of each.
    bound = 2 * 2 * 4 * 2 * np.pi * (1e-6 + 4 * 2.0**-24)
    np.testing.assert_allclose(actual, per_axis, rtol=0, atol=bound)


def test_made_once_for_all_layers_and_heads():
    def cosines(count, heads):
        def function(x, coordinates):
            cos, sin = F.normalized_cos_sin(coordinates, 64)
            for _ in range(count):
                x = F.apply_rope(x, cos[:, None], sin[:, None]) @ jnp.eye(64)
            return x

        args = host.ones((35, heads, 64)), jnp.asarray(F.normalized_coordinates((5, 7)))
        text = jax.jit(function).lower(*args).compile().as_text()
        return len(re.findall(r" cosine\(", text))

    assert cosines(1, 1) == cosines(4, 8) == 2  # of y, and of x


def test_a_grid_may_be_an_array():
    expected = F.normalized_coordinates((2, 3))
    np.testing.assert_array_equal(F.normalized_coordinates(np.array([2, 3])), expected)


@pytest.mark.errors
@pytest.mark.parametrize("grid", ((0, 3), (2, -3), (2,), (2, 3, 4), 3), ids=str)
def test_a_grid_is_two_positive_sizes(grid):
    with refused(re.escape(f"grid={grid} must be (rows, columns)")):
        F.normalized_coordinates(grid)


@pytest.mark.errors
def test_rule_must_be_known():
    with pytest.raises(ValueError, match="normalize='mean' must be 'separate', 'max'"):
        F.normalized_coordinates((2, 3), normalize="mean")


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((5, 3), (5, 1), (3,)))
def test_coordinates_must_be_pairs(shape):
    message = re.escape(f"coordinates.shape={shape} must end in the pair (row, column)")
    with refused(message):
        F.normalized_cos_sin(np.zeros(shape, np.float32), 8)


@pytest.mark.errors
@pytest.mark.parametrize("head_dim", (0, -4, 6, 7))
def test_head_dim_must_be_a_multiple_of_4(head_dim):
    message = f"head_dim={head_dim} must be a positive multiple of 4"
    with pytest.raises(ValueError, match=message):
        F.normalized_cos_sin(np.zeros((5, 2), np.float32), head_dim)


@pytest.mark.errors
@pytest.mark.parametrize(
    "base, periods, message",
    (
        (100.0, (1.0, 2.0), r"base=100.0 must be None where periods=\(1"),
        (0.0, None, "base=0.0 must be finite and positive"),
        (float("inf"), None, "base=inf must be finite and positive"),
        (float("nan"), None, "base=nan must be finite and positive"),
        (None, (1.0, 0.0), r"periods=0.0 must be finite and positive"),
        (None, (-1.0, 2.0), r"periods=-1.0 must be finite and positive"),
    ),
)
def test_a_base_or_periods(base, periods, message):
    coordinates = np.zeros((5, 2), np.float32)
    with pytest.raises(ValueError, match=message):
        F.normalized_cos_sin(coordinates, 8, base=base, periods=periods)


@pytest.mark.errors
def test_periods_are_two_and_sizes_whole():
    for periods in ((1.0,), (1.0, 2.0, 3.0), (), (2.0, 1.0), (1.01, 1.0)):
        with refused("periods=.* must be the shortest and the longest"):
            F.normalized_cos_sin(np.zeros((6, 2), np.float32), 8, periods=periods)
    for name, value in (("base", 1e-300), ("periods", (1e-300, 1.0))):
        options = {name: value}
        with refused(f"normalized_cos_sin: {name}=.* must be larger, for float32 to"):
            F.normalized_cos_sin(np.zeros((6, 2), np.float32), 8, **options)
    with refused(r"grid=\(2.5, 2\) must be \(rows, columns\)"):
        F.normalized_coordinates((2.5, 2))
