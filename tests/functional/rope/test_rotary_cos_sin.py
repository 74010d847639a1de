"""Positions of a rope: of several axes, out of range, and fractional ones."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits
from ropes import HARD, ROPES

import attnax.functional as F

# A rope is static, so that each compiles once for each shape.
rotate, rerotate = jax.jit(F.rotate), jax.jit(F.rerotate)


@jax.jit
def rotation_and_rotate(rope, x, positions):
    return *F.rotary_cos_sin(rope, positions), F.rotate(rope, x, positions)


@pytest.mark.parametrize(
    "axes, layout",
    (
        pytest.param(F.chunked_axes((16, 24, 24)), "half", id="chunked"),
        pytest.param(
            *(F.strided_axes((24, 20, 20), 64), "interleaved"),
            marks=pytest.mark.slow,
            id="strided",
        ),
        pytest.param(
            F.alternating_axes((22, 22, 20)), "interleaved_to_half", id="alternating"
        ),
        pytest.param(F.chunked_axes((1, 3, 2)), "half", id="uneven"),
    ),
)
def test_text_has_the_very_bits_of_one_axis(axes, layout):
    """The same number on each axis, whatever axis drives a pair."""
    one = F.Rope(F.default_inv_freq(2 * len(axes), 1e6), layout)
    several = F.Rope(one.inv_freq, layout, axis_of_pair=axes)
    coordinates = np.repeat(HARD[..., None], 3, axis=-1)
    x = np.random.default_rng(0).normal(size=(2, 13, 3, one.rotary_dim))
    x = x.astype(np.float32)
    pairs = zip(
        rotation_and_rotate(several, x, coordinates),
        rotation_and_rotate(one, x, HARD),
        strict=True,
    )
    for actual, expected in pairs:
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("axes", ((0, 1, 1, 1, 2, 2), (0, 0, 1, 0, 2, 1, 1)))
def test_text_of_few_pairs_has_the_very_bits_of_one_axis(axes):
    """Where a position for each pair, in one piece, would be rounded differently."""
    positions = np.random.default_rng(0).integers(-(2**31), 2**31, 3600)
    positions = positions.astype(np.int32)
    one = F.Rope(F.default_inv_freq(2 * len(axes), 1e6))
    several = F.Rope(one.inv_freq, axis_of_pair=axes)
    made = jax.jit(F.rotary_cos_sin)(several, np.stack([positions] * 3, -1))
    for actual, expected in zip(
        made, jax.jit(F.rotary_cos_sin)(one, positions), strict=True
    ):
        assert_same_bits(actual, expected)


@pytest.mark.errors
@pytest.mark.parametrize("count", (1, 2, 4))
def test_another_number_of_coordinates_is_refused_while_tracing(count):
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=(0, 1, 1, 0), num_axes=3)
    positions = host.zeros((5, count), jnp.int32)
    message = rf"^r\w+: \w+.shape=\(5, {count}\) must end in the 3 coordinates"
    x = host.ones((5, 2, 8))
    for function in (F.rotate, rotate):
        with pytest.raises(ValueError, match=message):
            function(rope, x, positions)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda p: F.rotary_cos_sin(rope, p), positions)
    with pytest.raises(ValueError, match=r"positions.shape=\(\) must end in the 3"):
        F.rotary_cos_sin(rope, jnp.array(3))
    if count > 1:  # one coordinate is for all of them
        with pytest.raises(ValueError, match=message):
            F.rerotate(rope, x, positions)


def test_traced_positions_outside_int32_give_nan_rows():
    rope = ROPES["to_half_at_1"][0]
    positions = jnp.array([0, 2**31, 5, 2**32 - 1], jnp.uint32)
    bad = [False, True, False, True]
    x = host.ones((4, 3, 10))
    loss = lambda x, positions: jnp.sum(F.rotate(rope, x, positions) ** 2)
    for function in (rotate, rerotate, lambda rope, *args: jax.grad(loss)(*args)):
        turned = jax.jit(function, static_argnums=0)(rope, x, positions)
        assert np.isfinite(turned[..., np.array([0, 9])]).all()
        np.testing.assert_array_equal(np.isnan(turned[..., 1:9]).all((1, 2)), bad)
        np.testing.assert_array_equal(np.isnan(turned).any((1, 2)), bad)


def test_a_bad_coordinate_is_nan_in_the_pairs_that_it_drives():
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=(0, 1, 1, 0))
    positions = jnp.array([[0, 1], [2**31, 1], [1, 2**31]], jnp.uint32)
    expected = [[False] * 4, [True, False, False, True], [False, True, True, False]]
    of_a_stack = jax.tree.map(lambda t: t[0], F.stack_ropes([rope]))
    for one in (rope, of_a_stack):
        for t in jax.jit(F.rotary_cos_sin)(one, positions):
            np.testing.assert_array_equal(np.isnan(t), expected)


@pytest.mark.errors
def test_known_positions_outside_int32_are_refused():
    message = rf"positions\[1\]={2**31} must lie in \[-{2**31}, {2**31}\)"
    with pytest.raises(ValueError, match=message):
        F.rotary_cos_sin(F.Rope(F.default_inv_freq(8)), np.array([0, 2**31]))
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=(0, 1, 1, 0))
    message = rf"positions\[0, 1\]={2**40} must lie in"
    with pytest.raises(ValueError, match=message):
        F.rotate(rope, host.ones((1, 3, 8)), np.array([[0, 2**40]]))


@pytest.mark.parametrize("axes", (None, (0, 1, 1, 0)))
def test_fractional_positions_in_float32(axes):
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=axes, attention_factor=1.25)
    positions = np.array([[0.0, 0.5], [7.25, 3.75]], np.float32)
    cos, sin = F.rotary_cos_sin(rope, positions, numerics="float32")
    coordinates = positions[..., None] if axes is None else positions[:, axes]
    angle = coordinates * np.array(rope.inv_freq)
    # A product below 8 of a rounded frequency, then cos and sin: 2**-23 of it and two
    # units; times the factor, rounded.
    close = {"rtol": 0, "atol": 1.25 * (8 + 2) * 2.0**-23}
    np.testing.assert_allclose(cos, 1.25 * np.cos(angle), **close)
    np.testing.assert_allclose(sin, 1.25 * np.sin(angle), **close)


@pytest.mark.parametrize("axes", (None, (0, 1, 1, 0)))
def test_traced_integers_outside_int32_are_nan_in_float32_too(axes):
    rope = F.Rope(F.default_inv_freq(8), axis_of_pair=axes)
    positions = jnp.array([[0, 1], [2**31, 1], [1, 2**31]], jnp.uint32)
    make = jax.jit(lambda p: F.rotary_cos_sin(rope, p, numerics="float32"))
    bad = np.array([[False, False], [True, False], [False, True]])
    bad = np.repeat(bad[..., None], 4, -1) if axes is None else bad[:, axes]
    for t in make(positions):
        np.testing.assert_array_equal(np.isnan(t), bad)
