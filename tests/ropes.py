"""Ropes that differ in every way a record allows, and inputs for them."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import strategies as ax

import attnax.functional as F

PLAIN = F.default_inv_freq(8)
# The settings of one record that leaves two channels of `X` alone.
BASE = {
    "inv_freq": PLAIN,
    "layout": "half",
    "axis_of_pair": (0, 0, 1, 1),
    "num_axes": 2,
    "num_blocks": 1,
    "rotary_start": "leading",
    "attention_factor": 1.0,
}
X = host.asarray(np.random.default_rng(0).normal(size=(5, 3, 10)), jnp.float32)
POSITIONS = np.stack([np.arange(5, dtype=np.int32) + 7, np.arange(5, 0, -1)], -1)
POSITIONS = POSITIONS.astype(np.int32)

_YARN = F.yarn_inv_freq(64, 150_000.0, factor=32.0, original_max_len=4096)

# Each with the width of a head: an odd and an even rest, odd and even offsets, real
# sizes, and one pair.
ROPES = {
    "half": (F.Rope(F.default_inv_freq(128, 5e5)), 134),
    "half_trailing": (
        F.Rope(_YARN, rotary_start="trailing", attention_factor=1.3466),
        69,
    ),
    "reversed_at_3": (
        F.Rope(-F.proportional_inv_freq(12, fraction=0.5), rotary_start=3),
        17,
    ),
    "interleaved": (F.Rope(F.default_inv_freq(96), "interleaved"), 97),
    "interleaved_trailing": (
        F.Rope(F.default_inv_freq(6), "interleaved", rotary_start="trailing"),
        11,
    ),
    "interleaved_at_3": (
        F.Rope(
            F.default_inv_freq(6), "interleaved", rotary_start=3, attention_factor=0.75
        ),
        12,
    ),
    "to_half": (F.Rope(F.default_inv_freq(64), "interleaved_to_half"), 64),
    "to_half_trailing": (
        F.Rope(
            _YARN,
            "interleaved_to_half",
            rotary_start="trailing",
            attention_factor=1.2608,
        ),
        192,
    ),
    "to_half_at_1": (
        F.Rope(F.default_inv_freq(8), "interleaved_to_half", rotary_start=1),
        10,
    ),
    "blocks": (
        F.Rope(
            np.tile(F.default_inv_freq(32, 100.0), 2),
            axis_of_pair=F.chunked_axes((16, 16), num_axes=2),
            num_blocks=2,
        ),
        64,
    ),
    "blocks_at_2": (
        F.Rope(
            F.default_inv_freq(12), num_blocks=3, rotary_start=2, attention_factor=1.25
        ),
        17,
    ),
    "chunked": (
        F.Rope(F.default_inv_freq(16), axis_of_pair=F.chunked_axes((2, 3, 3))),
        16,
    ),
    "strided": (
        F.Rope(
            F.default_inv_freq(20),
            "interleaved_to_half",
            axis_of_pair=F.strided_axes((4, 3, 3), 10),
            attention_factor=1.1,
        ),
        23,
    ),
    "alternating_of_4": (
        F.Rope(
            F.default_inv_freq(14),
            "interleaved",
            axis_of_pair=F.alternating_axes((3, 3, 1)),
            num_axes=4,
            rotary_start="trailing",
        ),
        16,
    ),
    "one_pair": (F.Rope([0.7]), 2),
}

# Every hard position, with both signs, and the ends of int32: two rows of 13.
HARD = (*ax.hard_positions, *(-p for p in ax.hard_positions), 2**31 - 1, -(2**31))
HARD = np.array(HARD, np.int32).reshape(2, 13)


def inputs(name, positions, seed=0):
    """`x` `(*batch, seq_len, 3, head_dim)` in float32, and positions for the rope.

    Coordinates of several axes are the given positions, rolled by one for each axis.
    """
    rope, head_dim = ROPES[name]
    shape = (*positions.shape, 3, head_dim)
    x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
    if rope.axis_of_pair is not None:
        rolled = [np.roll(positions, k) for k in range(rope.num_axes)]
        positions = np.stack(rolled, axis=-1)
    return jax.device_put(x), positions
