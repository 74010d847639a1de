"""Learned frequencies that mix the axes of a position: RoPE-Mixed."""

import math
from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray, Real

from ..._checks import (
    broadcasts_to,
    check_key,
    check_params,
    float_array,
    nan_where_invalid,
    number,
    positions_array,
    positive_integer,
    positive_multiple,
)
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from .._angles.once import pinned
from .apply import apply_rope


class MixedRopeParams(NamedTuple):
    """Parameters of a learned rotary embedding of two axes, for one layer.

    Attributes:
        freqs: Frequencies of every head and pair: `freqs[0]` in radians per column and
            `freqs[1]` in radians per row. The code of the paper has the same order
            (`init_random_2d_freqs` and `init_t_xy` in naver-ai/rope-vit), and its
            `freqs[:, layer].reshape(2, num_heads, -1)` fits.
    """

    freqs: Float[Array, "2 num_heads rotary_pairs"]


@public
def init_mixed_rope(
    key: PRNGKeyArray,
    num_heads: SupportsIndex,
    head_dim: SupportsIndex,
    *,
    base: SupportsFloat = 10.0,
    dtype: DTypeLike | None = None,
) -> MixedRopeParams:
    """Draws frequencies of fixed lengths, in a random direction for each head.

    The lengths are `base ** (-4 k / head_dim)` for `k < head_dim / 4`. Each length
    occurs twice: once in the direction drawn for the head, and once at a right angle to
    it.

    Args:
        key: A JAX random key.
        num_heads: Number of heads. Positive.
        head_dim: Features of a head. Positive and a multiple of 4.
        base: Base of the lengths. Positive and finite.
        dtype: Dtype of the parameters, which are drawn in float32 or wider and rounded
            once. `None` is JAX's default float. Keep float32: angles are formed from
            them.

    Returns:
        Parameters with `freqs` of shape `(2, num_heads, head_dim // 2)`.

    Raises:
        ValueError: If `key` is not one random key, or an argument is out of its range.

    Example:
        >>> init_mixed_rope(jax.random.key(0), 3, 8).freqs.shape
        (2, 3, 4)

    Reference:
        Heo et al., Rotary Position Embedding for Vision Transformer, 2024, section 3.3
        and its code. https://arxiv.org/abs/2403.13298
    """
    check_key(key)
    num_heads = positive_integer("num_heads", num_heads)
    head_dim = positive_multiple("head_dim", head_dim, 4)
    base = number("base", base, positive=True)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    wide = compute_dtype(dtype)
    exponents = [-k / head_dim for k in range(0, head_dim, 4)]
    # By logarithms, since Python raises an `OverflowError` for the largest powers.
    if exponents[-1] * math.log(base) > math.log(jnp.finfo(dtype).max):
        raise ValueError(f"{base=} must be larger, for {dtype} to hold its powers.")
    length = np.array([base**exponent for exponent in exponents]).astype(wide)[None]
    angle = jax.random.uniform(key, (num_heads, 1), wide, 0.0, 2 * np.pi)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    per_column = jnp.concatenate([length * cos, -length * sin], axis=-1)
    per_row = jnp.concatenate([length * sin, length * cos], axis=-1)
    return MixedRopeParams(freqs=jnp.stack([per_column, per_row]).astype(dtype))


@public
def apply_mixed_rope(
    params: MixedRopeParams,
    x: Float[Array | np.ndarray, "*batch seq_len num_heads head_dim"],
    positions: Real[Array | np.ndarray, "*#batch seq_len 2"] | Sequence,
    *,
    layout: str = "interleaved",
) -> Float[Array, "*batch seq_len num_heads head_dim"]:
    """Rotates the pairs of each head by learned angles.

    The angle of a pair is `column * freqs[0] + row * freqs[1]`. The result is
    differentiable with respect to the frequencies, `x` and the positions.

    Args:
        params: Frequencies of one layer.
        x: Queries or keys.
        positions: `(row, column)` of each patch, as integers or as floats of 32 bits or
            more; fractions are allowed. Batch axes broadcast. Angles are float32
            products, so their error grows with the position, to 1e-5 at 100.
        layout: The features that form a pair, see `apply_rope`.

    Returns:
        The rotated `x`, in its shape and dtype, rounded once. Traced integers outside
        int32 give NaN.

    Raises:
        ValueError: If `positions` do not hold two coordinates for each patch, are
            floats of 16 bits or known integers outside int32; if `params` are not those
            of one layer or not of a real float dtype; if heads or pairs differ from
            theirs; or for an error of `apply_rope`.

    Example:
        >>> params = init_mixed_rope(jax.random.key(0), 3, 8)
        >>> apply_mixed_rope(params, jnp.ones((6, 3, 8)), jnp.zeros((6, 2))).shape
        (6, 3, 8)

    Reference:
        Heo et al., Rotary Position Embedding for Vision Transformer, 2024, eq. 14.
        https://arxiv.org/abs/2403.13298
    """
    check_params(params, MixedRopeParams)
    freqs = float_array("params.freqs", params.freqs)
    x = float_array("x", x)
    positions, valid = positions_array("positions", positions, "float32")
    _check_shapes(freqs, x, positions)
    positions = jnp.asarray(positions, jnp.float32)
    cos, sin = _cos_sin(positions, jnp.asarray(freqs, jnp.float32))
    if valid is not None:
        valid = valid.all(-1)
        cos, sin = nan_where_invalid(valid, cos), nan_where_invalid(valid, sin)
    return apply_rope(x, cos, sin, layout=layout)


def _check_shapes(freqs, x, positions):
    if freqs.ndim != 3 or freqs.shape[0] != 2:
        raise ValueError(
            f"params.freqs.shape={freqs.shape} must be (2, num_heads, rotary_pairs), "
            "for one layer."
        )
    if x.ndim < 3 or x.shape[-2:] != (freqs.shape[1], 2 * freqs.shape[2]):
        raise ValueError(
            f"{x.shape=} must be (..., seq_len, num_heads, head_dim) with the "
            f"heads and pairs of params.freqs.shape={freqs.shape}."
        )
    if positions.shape[-2:] != (x.shape[-3], 2):
        raise ValueError(
            f"{positions.shape=} must end in ({x.shape[-3]}, 2), one (row, column) "
            f"for each patch of {x.shape=}."
        )
    if not broadcasts_to(positions.shape[:-2], x.shape[:-3]):
        raise ValueError(
            f"{positions.shape=} must broadcast to the batch axes of {x.shape=}."
        )


# Compiled as one program, so that XLA sees that queries and keys share it even where
# the positions are constants in the caller.
@jax.jit
def _cos_sin(positions, freqs):
    return pinned(_cos_sin_of_angles, _zeros, positions, freqs)


def _cos_sin_of_angles(positions, freqs):
    by_column = _product(positions[..., 1], freqs[0])
    angle = by_column + _product(positions[..., 0], freqs[1])
    return jnp.cos(angle), jnp.sin(angle)


def _zeros(positions, freqs):
    zero = _product(positions[..., 0], jnp.zeros_like(freqs[0]))
    return zero, zero


def _product(coordinate, freqs):
    freqs = jnp.reshape(freqs, (1,) * coordinate.ndim + freqs.shape)
    return coordinate[..., None, None] * freqs
