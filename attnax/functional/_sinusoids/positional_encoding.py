"""The sinusoids of the Transformer paper, added to tokens."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Integer

from ..._checks import (
    INT32_MAX,
    INT32_MIN,
    exceeds,
    float_array,
    int32_in_range,
    is_integer,
    nan_where_invalid,
    positive_integer,
)
from ..._public import public
from .._tables.add import add_rows, check_rows
from .sinusoids import sinusoids


@public
def apply_positional_encoding(
    x: Float[Array | np.ndarray, "*batch seq_len d_model"],
    positions: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence | None = None,
    *,
    start: SupportsIndex | Integer[Array | np.ndarray, ""] = 0,
    max_len: SupportsIndex | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Adds the sinusoids of the Transformer paper to `x`, in float32, rounded once.

    Position `p` adds `sin(p / 10000**(2 i / d_model))` to feature `2 i` and the cosine
    of the same angle to feature `2 i + 1`.

    Args:
        x: Token vectors.
        positions: Positions of the tokens; batch axes broadcast against those of `x`.
            `None` is `start ... start + seq_len - 1`.
        start: Position of the first token. It may be traced, so that one compilation
            serves every step of decoding. Not together with `positions`.
        max_len: Bound of the positions, which must lie in `[0, max_len)`. `None` allows
            every int32.

    Returns:
        An array of the shape and dtype of `x`. Rows of traced positions out of range
        are NaN. If `seq_len` is a symbol of `jax.export`, rows past `max_len` are NaN
        too.

    Raises:
        ValueError: If `x` has no sequence axis or is not of a real float dtype,
            `positions` do not fit `x`, are not integers or come with a `start`, `start`
            is not one integer, `max_len` is not positive, or a position that is known
            while tracing is out of range.

    Example:
        >>> apply_positional_encoding(jnp.zeros((1, 2)), start=jnp.asarray(0))
        Array([[0., 1.]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5.
        https://arxiv.org/abs/1706.03762
    """
    x = jnp.asarray(float_array("x", x, "seq_len", "d_model"))
    bounds, hint = (INT32_MIN, INT32_MAX + 1), ""
    if max_len is not None:
        max_len = positive_integer("max_len", max_len)
        bounds, hint = (0, min(max_len, INT32_MAX + 1)), f" for {max_len=}"
    if positions is None:
        positions, valid = _consecutive(start, x.shape[-2], *bounds, hint)
    elif _is_static_integer(start) and start == 0:
        positions, valid = int32_in_range("positions", positions, *bounds, hint)
    else:
        raise ValueError(f"{start=} must not come with positions; add them.")
    check_rows(x, positions.shape)
    return add_rows(x, nan_where_invalid(valid, sinusoids(positions, x.shape[-1])))


def _consecutive(start, seq_len, lower, upper, hint):
    """Positions from `start` on, and a mask of those in `[lower, upper)` or `None`."""
    is_array = isinstance(start, jax.Array | np.ndarray) and start.ndim == 0
    if not (
        _is_static_integer(start)
        or (is_array and jnp.issubdtype(start.dtype, jnp.integer))
    ):
        raise ValueError(f"{start=} must be one integer; pass positions for several.")
    steps = jnp.arange(seq_len, dtype=jnp.int32)
    if not isinstance(start, Tracer):
        start = int(start)
        too_far = exceeds(start + seq_len, upper)
        if start < lower or too_far:
            raise ValueError(
                f"{start=} and {seq_len=} must keep positions in [{lower}, {upper})"
                f"{hint}."
            )
        if too_far is not None:
            return start + steps, None
        start = jnp.asarray(start, jnp.int32)  # only the program knows the length
    start, valid = int32_in_range("start", start)
    positions = start + steps
    # Past int32 the sum wraps to below `start`.
    inside = (positions >= start) & (positions >= lower) & (positions <= upper - 1)
    return positions, inside if valid is None else inside & valid


def _is_static_integer(value):
    return is_integer(value) and not isinstance(value, jax.Array | np.ndarray)
