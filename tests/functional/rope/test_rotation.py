import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rope_oracles
import strategies as ax
from helpers import assert_close, assert_same_bits, slow
from hypothesis import given
from hypothesis import strategies as st
from ropes import HARD, ROPES, inputs
from rotations import (
    NEAR,
    QUICK,
    every_rope,
    norm,
    rotate,
    rotated,
    rotating,
)

import attnax.functional as F

drawn = pytest.mark.parametrize(
    "names", (QUICK, *slow(sorted(ROPES))), ids=("quick", "all")
)
# Where the kernel does not matter.
some_ropes = pytest.mark.parametrize(
    "name", ("half_trailing", "strided", "blocks_at_2")
)


# -- the oracle


@pytest.mark.device
@every_rope
def test_matches_complex_rotation(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    actual = rotated(rope, x, positions).plain
    expected = rope_oracles.rotate(rope, x, positions)
    # The frequencies of a rope are what they are: the error is that of cos and sin at
    # every int32, which the four roundings hold.
    magnitude = max(1.0, rope.attention_factor) * norm(x)
    assert_close(actual, expected, magnitude=magnitude)


@drawn
@given(data=st.data())
def test_matches_complex_rotation_of_drawn_values(data, names):
    name = data.draw(st.sampled_from(names))
    rope, head_dim = ROPES[name]
    x = np.asarray(data.draw(ax.floats((2, 13, 3, head_dim))))
    shape = (2, 13) if rope.axis_of_pair is None else (2, 13, rope.num_axes)
    positions = data.draw(ax.positions(shape, far=data.draw(st.booleans())))
    magnitude = max(1.0, rope.attention_factor) * norm(x)
    expected = rope_oracles.rotate(rope, x, positions)
    assert_close(rotated(rope, x, positions).plain, expected, magnitude=magnitude)


@every_rope
def test_other_channels_pass_bit_for_bit(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    still = ~rotating(name)
    special = (-0.0, 0.0, np.inf, -np.inf, 1e-40, -1e-40, 3.5)
    x = np.array(x)
    x[..., still] = np.resize(special, still.sum())
    ways = rotated(rope, x, positions)
    for actual in (ways.plain, ways.inverse):
        assert_same_bits(actual[..., still], x[..., still])
        assert np.isfinite(actual[..., ~still]).all()


@jax.jit
def there_and_back(rope, x, cos, sin, cotangent):
    out, pullback = jax.vjp(lambda x: F.apply_rotary(rope, x, cos, sin), x)
    return out, pullback(cotangent)[0]


@pytest.mark.device
@every_rope
def test_low_precision_is_float32_rounded_once(name):
    rope, _ = ROPES[name]
    _, positions = inputs(name, HARD)
    dtype = jnp.float16 if name == "to_half_at_1" else jnp.bfloat16
    narrow = [np.asarray(inputs(name, HARD, seed)[0]).astype(dtype) for seed in (0, 1)]
    x, cotangent = (t.astype(np.float32) for t in narrow)
    wide = rotated(rope, x, positions, cotangent)
    out, pullback = there_and_back(rope, narrow[0], wide.cos, wide.sin, narrow[1])
    assert_same_bits(out, wide.plain.astype(dtype))
    assert_same_bits(pullback, wide.pullback.astype(dtype))


@every_rope
def test_heads_before_the_sequence(name):
    rope, _ = ROPES[name]
    ways = rotated(rope, *inputs(name, HARD))
    assert_same_bits(ways.before, ways.plain)


@jax.jit
def no_heads(rope, x, positions):
    rotate = functools.partial(F.rotate, rope, positions=positions)
    before = rotate(x.swapaxes(1, 2), inverse=True, head_axis=-3)
    return (
        rotate(x[:, :, 1], head_axis=None),
        rotate(x[:, :, 1], inverse=True, head_axis=None),
        before.swapaxes(1, 2),
    )


@some_ropes
def test_no_heads_and_the_inverse_with_heads_elsewhere(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    ways = rotated(rope, x, positions)
    none, none_inverse, before = no_heads(rope, x, positions)
    assert_same_bits(none, ways.plain[:, :, 1])
    assert_same_bits(none_inverse, ways.inverse[:, :, 1])
    assert_same_bits(before, ways.inverse)


@every_rope
def test_batch_equals_vmap(name):
    rope, _ = ROPES[name]
    ways = rotated(rope, *inputs(name, HARD))
    assert_same_bits(ways.mapped, ways.plain)


@pytest.mark.parametrize(
    "name",
    ("half_trailing", *slow("interleaved", "to_half_trailing", "blocks_at_2")),
)
def test_mapped_and_other_orders_in_programs_of_their_own(name):
    """In one program XLA may find that two results are the same expression."""
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    expected = rotate(rope, x, positions)
    mapped = jax.jit(jax.vmap(F.rotate, (None, 0, 0)))(rope, x, positions)
    assert_same_bits(mapped, expected)
    before = rotate(rope, x.swapaxes(1, 2), positions, head_axis=-3)
    assert_same_bits(before.swapaxes(1, 2), expected)


@some_ropes
def test_batch_axes_of_positions_broadcast(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    shared = rotated(rope, x, np.stack([positions[0]] * 2)).plain
    assert_same_bits(rotate(rope, x, positions[:1]), shared)
    assert_same_bits(rotate(rope, x, positions[0]), shared)


@pytest.mark.parametrize(
    "name",
    (
        *("interleaved_at_3", "to_half_trailing", "blocks_at_2"),
        *slow("half", "strided"),
    ),
)
def test_decode_gives_the_bits_of_prefill(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, np.arange(131_067, 131_080, dtype=np.int32)[None])
    x = np.asarray(x).astype(jnp.bfloat16)
    whole = np.asarray(rotate(rope, x, positions))
    for i in range(0, 13, 4):
        step = rotate(rope, x[:, i : i + 1], positions[:, i : i + 1])
        assert_same_bits(step, whole[:, i : i + 1])


@pytest.mark.device
@pytest.mark.parametrize(
    "name", ("half_trailing", "blocks_at_2", *slow("to_half_at_1"))
)
def test_eager_equals_compiled(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    assert_same_bits(F.rotate(rope, x, positions), rotated(rope, x, positions).plain)
    # A factor and its inverse square are one constant where a compiler sees both.
    rope = dataclasses.replace(rope, attention_factor=1.0)
    forth = lambda x: F.rotate(rope, x, positions)
    back = lambda x: F.rotate(rope, x, positions, inverse=True)
    for function in (back, lambda x: jax.vjp(forth, x)[1](x)[0]):
        assert_same_bits(function(x), jax.jit(function)(x))


@some_ropes
def test_rotary_cos_sin_and_apply_rotary_make_rotate(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    cos, sin = F.rotary_cos_sin(rope, positions)
    assert cos.shape == sin.shape == (2, 13, rope.rotary_pairs)
    assert cos.dtype == sin.dtype == jnp.float32
    apply = jax.jit(F.apply_rotary)
    assert_same_bits(apply(rope, x, cos, sin), rotated(rope, x, positions).plain)
    narrow = np.asarray(x).astype(jnp.bfloat16)
    applied = apply(rope, narrow, cos, sin)
    assert_same_bits(applied, rotate(rope, narrow, positions))


def test_float64_is_rotated_in_float64():
    if not jax.config.jax_enable_x64:
        pytest.skip("needs JAX_ENABLE_X64=1")
    for name in ("to_half_trailing", "blocks_at_2", "interleaved_at_3"):
        rope, head_dim = ROPES[name]
        x, positions = inputs(name, HARD)
        x = np.asarray(x, np.float64) + 2.0**-40
        cos, sin = (
            np.asarray(t, np.float64) for t in F.rotary_cos_sin(rope, positions)
        )
        actual = np.asarray(rotate(rope, x, positions.astype(np.int64)))
        assert actual.dtype == np.float64
        for i, (read, written) in enumerate(rope_oracles.channels(rope, head_dim)):
            a, b = (x[..., channel] for channel in read)
            c, s = cos[..., None, i], sin[..., None, i]
            turned = a * c - b * s, a * s + b * c
            for out, expected in zip(written, turned, strict=True):
                np.testing.assert_allclose(actual[..., out], expected, atol=1e-14)


# -- the laws


@every_rope
def test_the_inverse_undoes_it(name):
    """The attention factor too, from the order that rotating puts out."""
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    ways = rotated(rope, x, positions)
    back = rotated(rope, ways.plain, positions).inverse
    assert_close(back, np.asarray(x, np.float64), magnitude=norm(x), roundings=4)
    # And in the other order: rotating undoes the inverse.
    forth = rotated(rope, ways.inverse, positions).plain
    assert_close(forth, np.asarray(x, np.float64), magnitude=norm(x), roundings=4)


@drawn
@given(data=st.data())
def test_the_inverse_undoes_it_for_drawn_values(data, names):
    name = data.draw(st.sampled_from(names))
    rope, head_dim = ROPES[name]
    x = np.asarray(data.draw(ax.floats((2, 13, 3, head_dim))))
    shape = (2, 13) if rope.axis_of_pair is None else (2, 13, rope.num_axes)
    positions = data.draw(ax.positions(shape, far=True))
    forth = rotated(rope, x, positions).plain
    back = rotated(rope, forth, positions).inverse
    assert_close(back, np.asarray(x, np.float64), magnitude=norm(x), roundings=4)


@every_rope
def test_scores_depend_on_position_differences_only(name):
    rope, _ = ROPES[name]
    q, positions = inputs(name, NEAR // 2)
    k, _ = inputs(name, HARD, seed=1)
    shift = 524_287
    turned, shifted = (
        [
            np.asarray(rotated(rope, t, p + np.int32(more)).plain, np.float64)
            for t, p in ((q, positions), (k, positions[::-1]))
        ]
        for more in (0, shift)
    )
    score = lambda q, k: np.einsum("...hd,...hd->...h", q, k)
    scale = max(1.0, rope.attention_factor) ** 2
    # Two rotations on either side, 4.5 roundings each.
    bound = 2 * 2 * 4.5 * 2.0**-23 * scale * norm(q) * norm(k)
    np.testing.assert_allclose(score(*shifted), score(*turned), rtol=0, atol=bound)


# -- gradients


@every_rope
def test_the_pullback_is_the_inverse_times_the_factor_squared(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    cotangent, _ = inputs(name, HARD, seed=1)
    actual = rotated(rope, x, positions, cotangent).pullback
    inverse = rotated(rope, cotangent, positions).inverse
    if rope.attention_factor == 1.0:
        assert_same_bits(actual, inverse)
    scale = np.where(rotating(name), rope.attention_factor**2, 1.0)
    # The inverse has the factor in three more roundings.
    assert_close(
        actual,
        np.asarray(inverse, np.float64) * scale,
        magnitude=max(1.0, rope.attention_factor) * norm(cotangent),
        roundings=8,
    )


@every_rope
def test_the_tangent_is_the_rotated_tangent(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    dx, _ = inputs(name, HARD, seed=1)
    tangent = rotated(rope, x, positions, dx).tangent
    assert_same_bits(tangent, rotated(rope, dx, positions).plain)
