"""Cos and sin of positions by frequencies: the general function, and two shorthands."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Real

from ..._checks import int32_in_range, nan_where_invalid, positive_integer
from ..._dtypes import result_dtype
from ..._public import public
from .._angles.cos_sin import cos_sin
from .factors import static_attention_factor, times_attention_factor
from .frequencies import exact_geometric


@public
def rope_cos_sin(
    positions: Real[Array | np.ndarray, "*positions"] | Sequence,
    inv_freq: Float[Array | np.ndarray, " rotary_pairs"] | Sequence,
    *,
    axis_of_pair: Sequence[SupportsIndex]
    | Integer[np.ndarray, " rotary_pairs"]
    | None = None,
    num_axes: SupportsIndex | None = None,
    attention_factor: SupportsFloat = 1.0,
    numerics: str = "exact",
) -> tuple[Float[Array, "... rotary_pairs"], Float[Array, "... rotary_pairs"]]:
    """Cos and sin of `positions * inv_freq`, made once for however many consumers.

    Exact numerics holds a frequency as a fraction of a turn, in 64-bit fixed point. The
    phase is then reduced without error at every int32 position, negative ones included.
    The error of cos and sin is at most 1.2e-7 below position 2**27 and 6e-7 beyond.

    Args:
        positions: Positions, any shape. With `axis_of_pair`, the last axis holds the
            coordinates of one position.
        inv_freq: Radians per position. Exact numerics takes a float64 NumPy vector, as
            `default_inv_freq` returns it, below 2**64 in magnitude.
        axis_of_pair: The axis that drives each pair, for positions of several axes.
        num_axes: Number of coordinates of a position. `None` stands for as many as
            `axis_of_pair` names.
        attention_factor: Factor on both results, from 1e-15 to 1e15.
        numerics: `"exact"` for integer positions and fixed frequencies. `"float32"`
            forms the product in float32, for learned frequencies, by which it
            differentiates, and for fractional positions of 32 bits or more. Its error
            grows with the position: 2e-4 at 4 000, 8e-3 at 131 000, 6e-2 at a million.

    Returns:
        `(cos, sin)` in float32. Each has the shape of `positions`, without an axis of
        coordinates, and then an axis of `rotary_pairs`. Traced integers outside int32
        give NaN.

    Raises:
        ValueError: If `numerics` is unknown; if exact numerics is given fractional
            positions or frequencies that are not float64 on the host, finite and below
            2**64; if `positions` are floats of 16 bits; if `inv_freq` is not one axis
            of real floats, finite where known; if known positions lie outside int32; if
            `axis_of_pair` does not fit the frequencies or the last axis of positions;
            if `attention_factor` is out of its range.

    Example:
        >>> cos, sin = rope_cos_sin(jnp.arange(3), default_inv_freq(4))
        >>> cos.shape, float(sin[0, 1])
        ((3, 2), 0.0)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    attention_factor = static_attention_factor(attention_factor)
    made = cos_sin(
        positions,
        inv_freq,
        axis_of_pair=axis_of_pair,
        num_axes=num_axes,
        numerics=numerics,
    )
    return times_attention_factor(made, attention_factor)


@public
def rope_cos_sin_table(
    max_seq_len: SupportsIndex,
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    dtype: DTypeLike | None = jnp.float32,
) -> tuple[
    Float[Array, "{max_seq_len} {head_dim}//2"],
    Float[Array, "{max_seq_len} {head_dim}//2"],
]:
    """Exact cos and sin of the positions `0 ... max_seq_len - 1`, rounded to `dtype`.

    Args:
        max_seq_len: Number of positions. Positive.
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the frequencies. Positive and finite.
        dtype: Dtype of the results, which are made in float32 and rounded once.

    Returns:
        `(cos, sin)`, each `(max_seq_len, head_dim // 2)`.

    Raises:
        ValueError: If `max_seq_len` is not a positive integer; if `dtype` is not a real
            float, or is float64 without 64-bit mode; if `base` gives frequencies of
            2**64 or more; or for an error of `default_inv_freq`.

    Example:
        >>> cos, sin = rope_cos_sin_table(8, 4)
        >>> cos.shape
        (8, 2)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    max_seq_len = positive_integer("max_seq_len", max_seq_len)
    dtype = result_dtype("dtype", dtype, jnp.float32)
    positions = jnp.arange(max_seq_len, dtype=jnp.int32)
    cos, sin = cos_sin(positions, exact_geometric(head_dim, base))
    return cos.astype(dtype), sin.astype(dtype)


@public
def rope_cos_sin_from_positions(
    position_ids: Integer[Array | np.ndarray, "*positions"] | Sequence | SupportsIndex,
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    table_len: SupportsIndex | None = None,
    out_dtype: DTypeLike | None = jnp.float32,
) -> tuple[
    Float[Array, "*positions {head_dim}//2"], Float[Array, "*positions {head_dim}//2"]
]:
    """Exact cos and sin of explicit positions, rounded to `out_dtype`, without a table.

    Args:
        position_ids: Integer positions of any shape, usually `(batch, seq_len)`.
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the frequencies. Positive and finite.
        table_len: Bound of the positions, which must lie in `[0, table_len)`. `None`
            admits every int32 position, negative ones included.
        out_dtype: Dtype of the results, which are made in float32 and rounded once.

    Returns:
        `(cos, sin)`. Each has the shape of `position_ids` and then an axis of
        `head_dim // 2`. Rows of traced positions out of range are NaN.

    Raises:
        ValueError: If `position_ids` are not integers; if one that is known outside
            every transformation is out of range; if `table_len` is not a positive
            integer; if `out_dtype` is not a real float, or is float64 without 64-bit
            mode; if `base` gives frequencies of 2**64 or more; or for an error of
            `default_inv_freq`.

    Example:
        >>> cos, sin = rope_cos_sin_from_positions(jnp.array([[5, 6]]), 4, 1e4, 8)
        >>> sin.shape
        (1, 2, 2)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    out_dtype = result_dtype("out_dtype", out_dtype, jnp.float32)
    inv_freq = exact_geometric(head_dim, base)
    if table_len is None:
        positions, valid = int32_in_range("position_ids", position_ids)
    else:
        table_len = positive_integer("table_len", table_len)
        positions, valid = int32_in_range(
            "position_ids", position_ids, 0, table_len, f" for {table_len=}"
        )
    cos, sin = cos_sin(positions, inv_freq)
    cos, sin = (nan_where_invalid(valid, t) for t in (cos, sin))
    return cos.astype(out_dtype), sin.astype(out_dtype)
