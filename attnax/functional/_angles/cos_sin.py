"""Cos and sin of positions: the one function that makes them, and the mission's two."""

from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Real

from ..._checks import (
    array_of_several,
    int32_in_range,
    integers,
    is_known,
    nan_where_invalid,
    number_array,
    positive_integer,
)
from ..._dtypes import float_dtype, result_dtype
from ..._public import public
from .._rope.factors import check_attention_factor
from .._rope.frequencies import default_inv_freq
from .once import pinned, zeros_per_pair
from .phase import exact_cos_sin, phase_words


@public
def rope_cos_sin(
    positions: Real[Array | np.ndarray, "*positions"] | Sequence,
    inv_freq: Float[Array | np.ndarray, " rotary_pairs"] | Sequence,
    *,
    axis_of_pair: Sequence[int] | None = None,
    num_axes: int | None = None,
    attention_factor: float = 1.0,
    numerics: str = "exact",
) -> tuple[Float[Array, "... rotary_pairs"], Float[Array, "... rotary_pairs"]]:
    """Cos and sin of `positions * inv_freq`, each made once however many read them.

    Exact numerics holds the frequency as a fraction of a turn in 64-bit fixed point, so
    the phase is reduced without error at every int32 position, negative ones included:
    the error is at most 1.2e-7 below 2**27 and 6e-7 beyond.

    Args:
        positions: Positions, any shape. With `axis_of_pair`, the last axis holds the
            coordinates of one position.
        inv_freq: Radians per position. For exact numerics a float64 NumPy vector, as
            `default_inv_freq` returns it, below 2**64 in magnitude.
        axis_of_pair: For positions of several axes, the axis that drives each pair.
        num_axes: Coordinates of a position. `None` is as many as `axis_of_pair` names.
        attention_factor: Both results are multiplied by it. From 1e-15 to 1e15.
        numerics: `"exact"` for integer positions and fixed frequencies. `"float32"`
            forms the product in float32, for learned frequencies (it differentiates)
            and fractional positions of 32 bits or more; its error grows with the
            position: 2e-4 at 4 000, 8e-3 at 131 000, 6e-2 at a million.

    Returns:
        `(cos, sin)` in float32, each the shape of `positions` (without the axis of
        coordinates) and then `rotary_pairs`. Traced integers outside int32 give NaN.

    Raises:
        ValueError: If `numerics` is unknown; if exact numerics is given fractional
            positions or frequencies that are not float64 on the host, finite and below
            2**64; if `positions` are floats of 16 bits; if `inv_freq` is not one axis
            of real floats, finite where known; if known positions lie outside int32; if
            `axis_of_pair` fits neither the frequencies nor the last axis of positions;
            if `attention_factor` is out of its range.

    Example:
        >>> cos, sin = rope_cos_sin(jnp.arange(3), default_inv_freq(4))
        >>> cos.shape, float(sin[0, 1])
        ((3, 2), 0.0)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    return make_cos_sin(
        positions,
        inv_freq,
        axis_of_pair=axis_of_pair,
        num_axes=num_axes,
        attention_factor=attention_factor,
        numerics=numerics,
        fractional="pass numerics='float32' for fractional positions",
    )


def make_cos_sin(
    positions,
    inv_freq,
    *,
    axis_of_pair=None,
    num_axes=None,
    attention_factor=1.0,
    numerics="exact",
    argument="positions",
    fractional="fractions of a position are not known to it",
):
    """`rope_cos_sin` for any function, whose errors then carry its name and argument.

    `fractional` is what errors say about positions that are no integers.
    """
    if numerics not in ("exact", "float32"):
        raise ValueError(f"{numerics=} must be 'exact' or 'float32'.")
    positions = array_of_several(argument, positions)
    inv_freq = _frequencies(inv_freq)
    if inv_freq.ndim != 1 or inv_freq.size == 0:
        raise ValueError(f"{inv_freq.shape=} must be one axis of one or more.")
    check_attention_factor(attention_factor)
    if axis_of_pair is not None:
        axis_of_pair = integers("axis_of_pair", axis_of_pair)
        if num_axes is not None:
            num_axes = positive_integer("num_axes", num_axes)
        _check_axes(argument, axis_of_pair, num_axes, positions.shape, inv_freq.size)
    elif num_axes not in (None, 1):
        raise ValueError(f"{num_axes=} must come with axis_of_pair.")
    if numerics == "exact":
        _check_exact(argument, positions, inv_freq, fractional)
        words = phase_words(np.asarray(inv_freq))
        cos, sin = cos_sin_of_words(positions, words, axis_of_pair, argument=argument)
    else:
        if is_known(inv_freq) and not _is_finite(inv_freq):
            raise ValueError("inv_freq must be finite in float32.")
        positions, valid = positions_for_product(argument, positions)
        per_pair = jnp.asarray(inv_freq, jnp.float32)[None]
        cos, sin = _cos_sin(_product_cos_sin, positions, per_pair, axis_of_pair)
        cos, sin = _nan_where_invalid(valid, cos, sin, axis_of_pair)
    if attention_factor != 1.0:
        cos, sin = (np.float32(attention_factor) * t for t in (cos, sin))
    return cos, sin


@public
def rope_cos_sin_table(
    max_seq_len: int,
    head_dim: int,
    base: float = 10_000.0,
    dtype: DTypeLike = jnp.float32,
) -> tuple[
    Float[Array, "{max_seq_len} {head_dim}//2"],
    Float[Array, "{max_seq_len} {head_dim}//2"],
]:
    """Cos and sin of the positions `0 ... max_seq_len - 1`, exact, then rounded.

    Args:
        max_seq_len: Number of positions. Positive.
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the frequencies. Positive.
        dtype: Of the results, which are made in float32 and rounded once.

    Returns:
        `(cos, sin)`, each `(max_seq_len, head_dim // 2)`.

    Raises:
        ValueError: If `max_seq_len` is not a positive integer, `dtype` is not a real
            float or is float64 without 64-bit mode, or as `default_inv_freq` does.

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
    cos, sin = rope_cos_sin(positions, default_inv_freq(head_dim, base))
    return cos.astype(dtype), sin.astype(dtype)


@public
def rope_cos_sin_from_positions(
    position_ids: Integer[Array | np.ndarray, "*positions"] | Sequence,
    head_dim: int,
    base: float = 10_000.0,
    table_len: int | None = None,
    out_dtype: DTypeLike = jnp.float32,
) -> tuple[
    Float[Array, "*positions {head_dim}//2"], Float[Array, "*positions {head_dim}//2"]
]:
    """Cos and sin of explicit positions, exact, then rounded; no table is made.

    Args:
        position_ids: Integer positions of any shape, `(batch, seq_len)` as a rule.
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the frequencies. Positive.
        table_len: Bound of the positions, which must lie in `[0, table_len)`. `None`
            admits every int32 position, negative ones included.
        out_dtype: Of the results, which are made in float32 and rounded once.

    Returns:
        `(cos, sin)`, each the shape of `position_ids` and then `head_dim // 2`. Rows
        of traced positions out of range are NaN.

    Raises:
        ValueError: If `position_ids` are not integers, one that is known outside every
            transformation is out of range, `table_len` is not a positive integer,
            `out_dtype` is not a real float or is float64 without 64-bit mode, or as
            `default_inv_freq` does.

    Example:
        >>> cos, sin = rope_cos_sin_from_positions(jnp.array([[5, 6]]), 4, 1e4, 8)
        >>> sin.shape
        (1, 2, 2)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    out_dtype = result_dtype("out_dtype", out_dtype, jnp.float32)
    inv_freq = default_inv_freq(head_dim, base)
    if table_len is None:
        positions, valid = int32_in_range("position_ids", position_ids)
    else:
        table_len = positive_integer("table_len", table_len)
        positions, valid = int32_in_range("position_ids", position_ids, 0, table_len)
    cos, sin = rope_cos_sin(positions, inv_freq)
    cos, sin = (nan_where_invalid(valid, t) for t in (cos, sin))
    return cos.astype(out_dtype), sin.astype(out_dtype)


def _frequencies(inv_freq):
    """An array of frequencies, which are real floats."""
    given, inv_freq = inv_freq, array_of_several("inv_freq", inv_freq)
    if isinstance(given, Sequence) and np.issubdtype(inv_freq.dtype, np.integer):
        inv_freq = inv_freq.astype(np.float64)  # as 1 may be typed for 1.0
    float_dtype("inv_freq.dtype", inv_freq.dtype)
    return inv_freq


def _is_finite(inv_freq):
    magnitude = np.abs(np.asarray(inv_freq).astype(np.float64))
    return (magnitude <= np.finfo(np.float32).max).all()


def _check_exact(argument, positions, inv_freq, fractional):
    if isinstance(inv_freq, jax.Array) or inv_freq.dtype != np.float64:
        raise ValueError(
            f"inv_freq is a {type(inv_freq).__name__} of "
            f"{inv_freq.dtype}, but must be a float64 NumPy vector for "
            "numerics='exact'; pass numerics='float32' for learned frequencies."
        )
    if not (np.isfinite(inv_freq) & (np.abs(inv_freq) < 2.0**64)).all():
        raise ValueError("inv_freq must be finite and below 2**64.")
    if not jnp.issubdtype(positions.dtype, jnp.integer):
        raise ValueError(
            f"{argument}.dtype={positions.dtype} must be integer for exact "
            f"numerics; {fractional}."
        )


def _check_axes(argument, axis_of_pair, num_axes, shape, pairs):
    if len(axis_of_pair) != pairs:
        raise ValueError(f"{len(axis_of_pair)=} must equal the {pairs} frequencies.")
    named = max(axis_of_pair) + 1
    if min(axis_of_pair) < 0 or named > (named if num_axes is None else num_axes):
        raise ValueError(f"{axis_of_pair=} must lie in [0, {num_axes=}).")
    num_axes = named if num_axes is None else num_axes
    check_coordinates(argument, shape, num_axes)


def check_coordinates(argument, shape, num_axes):
    """Positions of several axes end in their coordinates."""
    if shape[-1:] != (num_axes,):
        raise ValueError(
            f"{argument}.shape={shape} must end in the {num_axes} "
            "coordinates of a position; on text they are equal."
        )


def cos_sin_of_words(positions, words, axis_of_pair, *, argument="positions"):
    """Exact cos and sin of integer `positions` and of words `(2, pairs)`."""
    positions, valid = int32_in_range(argument, positions)
    cos, sin = _cos_sin(exact_cos_sin, positions, words, axis_of_pair)
    return _nan_where_invalid(valid, cos, sin, axis_of_pair)


def _nan_where_invalid(valid, cos, sin, axis_of_pair):
    """NaN in the pairs that a coordinate out of range drives."""
    if valid is not None and axis_of_pair is not None:
        valid = valid[..., np.asarray(axis_of_pair)]
    return nan_where_invalid(valid, cos), nan_where_invalid(valid, sin)


def positions_for_product(name, positions):
    """Positions in float32 for a float32 product, and which of them int32 holds."""
    positions, valid = number_array(name, positions), None
    if jnp.issubdtype(positions.dtype, jnp.integer):
        positions, valid = int32_in_range(name, positions)
    return jnp.asarray(positions, jnp.float32), valid


# Compiled as one program, as `exact_cos_sin` is, and for the same reason: outside `jit`
# the `cond` of the join would be compiled afresh at each call.
@partial(jax.jit, static_argnums=(0, 3))
def _cos_sin(function, positions, per_pair, axis_of_pair):
    if axis_of_pair is None:
        return _of_one_axis(function, positions, per_pair)
    # Axis by axis and not in one piece: a pair then has the very bits that it has in a
    # rope of one axis, which a kernel with a position for each pair does not keep.
    axes = np.asarray(axis_of_pair)
    used = np.unique(axes)
    if used.size == 1:
        return _of_one_axis(function, positions[..., used[0]], per_pair)
    parts = (
        _of_one_axis(function, positions[..., axis], per_pair[:, axes == axis])
        for axis in used
    )
    place = np.argsort(np.argsort(axes, kind="stable"))

    def in_order(*parts):
        return tuple(t[..., place] for t in joined(*parts))

    def joined(*parts):
        return tuple(jnp.concatenate(t, axis=-1) for t in (parts[::2], parts[1::2]))

    # The joined parts have the type of the result, in another order.
    return pinned(in_order, joined, *(t for part in parts for t in part))


def _of_one_axis(function, positions, per_pair):
    ones = (1,) * positions.ndim
    return function(
        positions[..., None], per_pair.reshape(-1, *ones, per_pair.shape[1])
    )


def _product_cos_sin(positions, inv_freq):
    def function(positions, inv_freq):
        angle = positions * inv_freq[0]
        return jnp.cos(angle), jnp.sin(angle)

    return pinned(function, zeros_per_pair, positions, inv_freq)
