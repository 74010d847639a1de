"""xPos: a rotation whose scores decay with the distance."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import (
    INT32_MAX,
    INT32_MIN,
    int32_in_range,
    integer,
    nan_where_invalid,
    number,
)
from ..._public import public
from .._angles.cos_sin import cos_sin

# The largest distance of a scale from 1, in octaves. Within it, neither a scale nor its
# inverse times a small cosine leaves the normal numbers of float32.
_OCTAVES = 100


@public
def xpos_cos_sin(
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence | SupportsIndex,
    inv_freq: Float[np.ndarray, " rotary_pairs"] | Sequence,
    *,
    scale_base: SupportsFloat = 512.0,
    center: SupportsIndex = 0,
) -> tuple[
    tuple[
        Float[Array, "*positions rotary_pairs"], Float[Array, "*positions rotary_pairs"]
    ],
    tuple[
        Float[Array, "*positions rotary_pairs"], Float[Array, "*positions rotary_pairs"]
    ],
]:
    """Cos and sin for queries, scaled by `z ** m`, and for keys, scaled by `z ** -m`.

    For pair `i` of `P`, `z` is `(i / P + 0.4) / 1.4`, and
    `m = (position - center) / scale_base`. A score then depends only on the difference
    of the positions, and the share of pairs with a high frequency fades as it grows.
    The method is meant for causal attention.

    Args:
        positions: Integer positions, any shape, at most `55 * scale_base` from
            `center`: there a scale reaches `2**100`, near the limit of float32.
        inv_freq: Radians per position, as `rope_cos_sin` takes them for exact numerics.
        scale_base: Number of positions per power of `z`. Positive. `inf` means no
            decay.
        center: Integer position at which both scales are 1. It changes no score, and
            the middle of the sequence keeps the numbers small. The relative error of
            the results is at most `2e-7 + 1.5e-7 * distance / scale_base`, with the
            distance from `center`.

    Returns:
        `((cos, sin) for queries, (cos, sin) for keys)`, float32, for `apply_rope`.
        Traced positions that are too far from `center` give NaN.

    Raises:
        ValueError: If `scale_base` is not positive, `center` is not an int32, a known
            position is too far from it, or for an error of `rope_cos_sin`.

    Example:
        >>> (cos, _), (key_cos, _) = xpos_cos_sin(jnp.arange(3), default_inv_freq(4))
        >>> cos.shape, float(cos[0, 0]), float(key_cos[0, 0])
        ((3, 2), 1.0, 1.0)

    Reference:
        Sun et al., A Length-Extrapolatable Transformer, 2022, section 3.2.
        https://arxiv.org/abs/2212.10554
    """
    if not _is_infinite(scale_base):
        scale_base = number("scale_base", scale_base, positive=True)
    scale_base = float(scale_base)
    center = integer("center", center, INT32_MIN, INT32_MAX)
    reach = int(min(_OCTAVES / math.log2(1.4 / 0.4) * scale_base, 2.0**32))
    positions, valid = int32_in_range(
        "positions",
        positions,
        center - reach,
        center + reach + 1,
        hint=f"; raise {scale_base=}, or put {center=} in the middle",
    )
    cos, sin = cos_sin(positions, inv_freq)
    cos, sin = nan_where_invalid(valid, cos), nan_where_invalid(valid, sin)
    pairs = cos.shape[-1]
    # In float64 on the host: powers of numbers near 1 are sensitive to the logarithm.
    octaves = np.log2((np.arange(pairs) / pairs + 0.4) / 1.4) / scale_base
    octaves = octaves.astype(np.float32).reshape((1,) * positions.ndim + (-1,))
    exponent = _distance(positions, center)[..., None] * octaves
    scale, inverse = jnp.exp2(exponent), jnp.exp2(-exponent)
    return (cos * scale, sin * scale), (cos * inverse, sin * inverse)


def _is_infinite(scale_base):
    return isinstance(scale_base, float | np.floating) and scale_base == math.inf


def _distance(positions, center):
    """`positions - center`, rounded once."""
    # In two parts: the difference of two int32 may lie outside int32, and float32 loses
    # whole positions past 2**24.
    high = (positions >> 16) - (center >> 16)
    low = (positions & 0xFFFF) - (center & 0xFFFF)
    return high.astype(jnp.float32) * 2**16 + low.astype(jnp.float32)
