"""Exact phases of integer positions: frequencies are fixed-point fractions of a turn.

A frequency, in turns per position, is a 64-bit binary fraction in two uint32 words. Its
product with an integer position, with ordinary wrap-around, is the phase modulo one
turn. This is exact at every int32 position: overflow does the reduction.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._words import multiply_high
from .once import pinned, zeros_per_pair

# round(2**320 / (2 pi)): frequencies below 2**64 keep 192 bits past the words.
_INV_TWO_PI = int(
    "28be60db9391054a7f09d5f47d4d377036d8a5664f10e4107f9458eaf7aef1586dc91b8e909374b8",
    16,
)
_INV_TWO_PI_BITS = 320

# 2**-32 turns in radians; float32 rounds them up, by a relative error of 2.8e-8.
_RADIANS = np.float32(2 * math.pi / 2**32)

# Minimax polynomials on |angle| <= pi / 4 with fixed leading coefficients: sin(a) =
# a + a t P(t) and cos(a / 1.0000000278) = 1 + t Q(t), with t = a * a. The constant
# coefficient stands first. Cosines, which have the larger error, also correct the error
# of `_RADIANS`.
_SIN = (-0.166666368016, 0.00833158595401, -0.000194622321755)
_COS = (-0.499999968326, 0.0416666121013, -0.00138866168916, 2.4379923941e-5)


def phase_words(inv_freq: np.ndarray) -> np.ndarray:
    """High and low words `(2, pairs)` of `inv_freq / (2 pi)`, modulo one turn."""
    words = np.empty((2, inv_freq.size), np.uint32)
    for i, frequency in enumerate(inv_freq.tolist()):
        numerator, denominator = frequency.as_integer_ratio()
        scale = denominator << (_INV_TWO_PI_BITS - 64)
        turns = (2 * numerator * _INV_TWO_PI + scale) // (2 * scale) % 2**64
        words[:, i] = turns >> 32, turns & 0xFFFFFFFF
    return words


# Compiled as one program even where the caller is not. Outside `jit`, the steps would
# be forty dispatches, compile a new `cond` at each call, and be rounded differently.
@jax.jit
def exact_cos_sin(positions, words):
    """Cos and sin of int32 `positions` times `words`, broadcast against each other."""
    pairs = words.shape[-1]
    if pairs == 1:
        # Doubled, so that LLVM makes vectors of pairs. Along positions, jax 0.12 fuses
        # products and sums in whole vectors but not in the remainder, so that bits
        # depend on the shape.
        words = jnp.concatenate([words, words], axis=-1)
    cos, sin = pinned(_cos_sin_of_phase, zeros_per_pair, positions, words)
    return cos[..., :pairs], sin[..., :pairs]


def _cos_sin_of_phase(positions, words):
    high, low = words[0], words[1]
    unsigned = lax.bitcast_convert_type(positions, jnp.uint32)
    phase = unsigned * high + multiply_high(unsigned, low)
    # Sign extension: a negative position is its unsigned form minus 2**32.
    phase = phase - jnp.where(positions < 0, low, jnp.uint32(0))
    fraction = unsigned * low

    quadrant = (phase + jnp.uint32(1 << 29)) >> 30
    remainder = lax.bitcast_convert_type(phase - (quadrant << 30), jnp.int32)
    # The low word keeps the relative accuracy of small angles.
    turns = remainder.astype(jnp.float32) + fraction.astype(jnp.float32) * np.float32(
        2**-32
    )
    angle = turns * _RADIANS

    odd = (quadrant & 1) == 1
    cos_is_negative = (quadrant == 1) | (quadrant == 2)
    return (
        _sin_or_cos(angle, odd, cos_is_negative),
        _sin_or_cos(angle, ~odd, quadrant >= 2),
    )


def _sin_or_cos(angle, is_sin, is_negative):
    """The sine or cosine of each angle within pi / 4, with its sign."""
    # The choice is one of coefficients. With a choice of results, LLVM may move part of
    # one behind a branch, where a product and a sum are no longer fused into one
    # rounding, and bits would depend on the shape.
    square = angle * angle
    series = np.float32(0.0)
    for of_sin, of_cos in zip((0.0, *_SIN[::-1]), _COS[::-1], strict=True):
        constant = jnp.where(is_sin, np.float32(of_sin), np.float32(of_cos))
        series = constant + square * series
    unit = jnp.where(is_sin, angle, np.float32(1.0))
    value = unit + unit * (square * series)
    return jnp.where(is_negative, -value, value)
