"""Keys that are rotated already, moved by some positions."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, slow
from ropes import HARD, ROPES, inputs
from rotations import NEAR, every_rope, norm, rotated, rotating

import attnax.functional as F

rerotate = jax.jit(F.rerotate, static_argnames="head_axis")


@every_rope
def test_rerotate_adds_positions(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, NEAR // 2)
    _, delta = inputs(name, np.roll(NEAR // 2, 5))
    actual = rotated(rope, rotated(rope, x, positions).plain, delta).added
    expected = rotated(rope, x, positions + delta).plain
    # Two rotations against one, of the keys' own size: 4.5 roundings each.
    magnitude = max(1.0, rope.attention_factor) * norm(x)
    assert_close(
        actual, np.asarray(expected, np.float64), magnitude=magnitude, roundings=13
    )
    still = ~rotating(name)
    assert_same_bits(actual[..., still], np.asarray(x)[..., still])


@jax.jit
def rerotate_by_each(rope, x, deltas):
    return [F.rerotate(rope, x, delta) for delta in deltas]


@pytest.mark.parametrize("name", ("to_half_at_1", *slow("chunked")))
def test_rerotate_by_what_broadcasts(name):
    rope, _ = ROPES[name]
    x, positions = inputs(name, HARD)
    shape = positions.shape[2:]  # of one position: empty, or the coordinates
    row = positions[0, :1] // 2
    rows = np.stack([row, -row])
    deltas = (
        np.array(-257, np.int32),
        np.full((1, *shape), -257, np.int32),  # one for every position
        rows,  # one for every sequence
        positions[0],  # one for every position, whatever the sequence
    )
    for delta, actual in zip(deltas, rerotate_by_each(rope, x, deltas), strict=True):
        whole = rotated(rope, x, np.broadcast_to(delta, positions.shape)).added
        assert_same_bits(actual, whole)
    number, _, by_rows, _ = map(np.asarray, rerotate_by_each(rope, x, deltas))
    assert_same_bits(F.rerotate(rope, x, -257), number)
    x = np.asarray(x)
    before = rerotate(rope, x.swapaxes(1, 2), rows, head_axis=-3)
    assert_same_bits(np.asarray(before).swapaxes(1, 2), by_rows)
    alone = rerotate(rope, x[..., 0, :], deltas[0], head_axis=None)
    assert_same_bits(alone, number[..., 0, :])


def test_rerotate_takes_keys_as_they_come_out():
    """In halves, for a layout that reads interleaved, and scaled as they are."""
    rope = F.Rope(F.default_inv_freq(8), "interleaved_to_half", attention_factor=1.5)
    half = F.Rope(F.default_inv_freq(8))
    x = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 8)), jnp.float32)
    assert_same_bits(F.rerotate(rope, x, np.arange(5)), F.rotate(half, x, np.arange(5)))
    narrow = x.astype(jnp.bfloat16)
    wide = rerotate(rope, narrow.astype(jnp.float32), np.arange(5))
    assert_same_bits(rerotate(rope, narrow, np.arange(5)), wide.astype(jnp.bfloat16))
