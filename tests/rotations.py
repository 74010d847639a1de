"""Rotations of drawn heads by every rope of `ropes`, and their pullbacks."""

import functools
from typing import NamedTuple

import jax
import numpy as np
import pytest
import rope_oracles
from helpers import slow
from ropes import ROPES

import attnax.functional as F

# A rope is static, so that each compiles once for each shape.
rotate = jax.jit(F.rotate, static_argnames=("inverse", "head_axis"))


def rotated(rope, x, positions, cotangent=None):
    """`x` rotated in every way there is, by one program for each rope.

    Cosines and sines, which take most of the time to compile, are made once in it.
    """
    cotangent = x if cotangent is None else cotangent
    return Rotated(*map(np.asarray, _rotated(rope, x, positions, cotangent)))


class Rotated(NamedTuple):
    cos: np.ndarray
    sin: np.ndarray
    plain: np.ndarray
    inverse: np.ndarray
    mapped: np.ndarray
    before: np.ndarray
    added: np.ndarray
    pullback: np.ndarray
    tangent: np.ndarray


@jax.jit
def _rotated(rope, x, positions, cotangent):
    rotate = functools.partial(F.rotate, rope, positions=positions)
    cos, sin = F.rotary_cos_sin(rope, positions)
    _, pullback = jax.vjp(rotate, x)
    return Rotated(
        cos=cos,
        sin=sin,
        plain=rotate(x),
        inverse=rotate(x, inverse=True),
        mapped=jax.vmap(F.rotate, (None, 0, 0))(rope, x, positions),
        before=rotate(x.swapaxes(1, 2), head_axis=-3).swapaxes(1, 2),
        added=F.rerotate(rope, x, positions),
        pullback=pullback(cotangent)[0],
        tangent=jax.jvp(rotate, (x,), (cotangent,))[1],
    )


# Together these have every kind of layout, place, factor, axes and blocks, and the
# smallest and real sizes; the others combine them in other ways.
QUICK = (
    *("half_trailing", "reversed_at_3", "interleaved", "interleaved_at_3"),
    *("to_half_trailing", "to_half_at_1", "blocks_at_2", "strided"),
    *("alternating_of_4", "one_pair"),
)
every_rope = pytest.mark.parametrize(
    "name", (*QUICK, *slow(*(name for name in ROPES if name not in QUICK)))
)

# Differences such that the sums stay within int32 and below 2**27 in magnitude.
NEAR = np.array((0, 1, 5, 255, 257, 2047, 4095, 32_767, 131_071, 1_000_003, 2**24 + 1))
NEAR = np.concatenate([NEAR, -NEAR, [7, 3, -2, 2**25]]).astype(np.int32).reshape(2, 13)


def norm(x):
    return 1.0 + float(np.linalg.norm(np.asarray(x, np.float64), axis=-1).max())


def rotating(name):
    """Which channels of the head rotate, those of a negative index excluded."""
    rope, head_dim = ROPES[name]
    channels = [read for read, _ in rope_oracles.channels(rope, head_dim)]
    return np.isin(np.arange(head_dim), channels)
