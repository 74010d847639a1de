"""xPos: a rotation whose scores decay with the distance."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import (
    INT32_MAX,
    INT32_MIN,
    int32_in_range,
    is_integer,
    is_number,
    nan_where_invalid,
)
from ..._public import public
from .._angles.cos_sin import cos_sin

# Octaves from 1 that a scale may be apart, so that neither it nor its inverse times a
# small cosine leaves the normal numbers of float32.
_OCTAVES = 100


@public
def xpos_cos_sin(
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence,
    inv_freq: Float[np.ndarray, " rotary_pairs"] | Sequence,
    *,
    scale_base: float = 512.0,
    center: int = 0,
) -> tuple[
    tuple[
        Float[Array, "*positions rotary_pairs"], Float[Array, "*positions rotary_pairs"]
    ],
    tuple[
        Float[Array, "*positions rotary_pairs"], Float[Array, "*positions rotary_pairs"]
    ],
]:
    """Cos and sin for queries and for keys: scaled by `z ** m` and by `z ** -m`.

    With `z_i = (i / P + 0.4) / 1.4` for pair `i` of `P` and
    `m = (position - center) / scale_base`, a score depends on the difference of
    positions only, and pairs of high frequency fade with it. For causal attention.

    Args:
        positions: Integer positions, any shape, up to `55 * scale_base` from `center`,
            where scales reach `2**100` and float32 comes to its end.
        inv_freq: Radians per position, as `rope_cos_sin` takes them for exact numerics.
        scale_base: Positions per power of `z`. Positive; infinite is no decay.
        center: Position at which both scales are 1, an integer. It changes no score;
            the middle of the sequence keeps the numbers small. The relative error of
            the results is at most 2e-7, and 1.5e-7 times the distance from it over
            `scale_base` more.

    Returns:
        `((cos, sin) for queries, (cos, sin) for keys)`, float32, for `apply_rope`.
        Traced positions that are too far from `center` give NaN.

    Raises:
        ValueError: If `scale_base` is not positive, `center` no int32, a known position
            too far from it, or as `rope_cos_sin` does.

    Example:
        >>> (cos, _), (key_cos, _) = xpos_cos_sin(jnp.arange(3), default_inv_freq(4))
        >>> cos.shape, float(cos[0, 0]), float(key_cos[0, 0])
        ((3, 2), 1.0, 1.0)

    Reference:
        Sun et al., A Length-Extrapolatable Transformer, 2022, section 3.2.
        https://arxiv.org/abs/2212.10554
    """
    infinite = isinstance(scale_base, float | np.floating) and scale_base == math.inf
    if not (infinite or (is_number(scale_base) and scale_base > 0)):
        raise ValueError(f"{scale_base=} must be positive.")
    if not (is_integer(center) and INT32_MIN <= center <= INT32_MAX):
        raise ValueError(f"{center=} must be an integer within int32.")
    center, scale_base = int(center), float(scale_base)
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
    # Host float64: powers of numbers near 1 are sensitive to their logarithm.
    octaves = np.log2((np.arange(pairs) / pairs + 0.4) / 1.4) / scale_base
    octaves = octaves.astype(np.float32).reshape((1,) * positions.ndim + (-1,))
    exponent = _distance(positions, center)[..., None] * octaves
    scale, inverse = jnp.exp2(exponent), jnp.exp2(-exponent)
    return (cos * scale, sin * scale), (cos * inverse, sin * inverse)


def _distance(positions, center):
    """`positions - center`, rounded once."""
    # In two parts, for the difference of two int32 may not be one, and float32 loses
    # whole positions past 2**24.
    high = (positions >> 16) - (center >> 16)
    low = (positions & 0xFFFF) - (center & 0xFFFF)
    return high.astype(jnp.float32) * 2**16 + low.astype(jnp.float32)
