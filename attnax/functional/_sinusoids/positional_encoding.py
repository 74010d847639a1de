"""The sinusoids of the Transformer paper, from exact phases."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Integer

from ..._checks import (
    INT32_MAX,
    INT32_MIN,
    exceeds,
    int32_in_range,
    is_integer,
    nan_where_invalid,
    positive_integer,
)
from ..._public import public
from .._tables.add import add_rows, check_rows
from .sinusoids import make_sinusoids


@public
def positional_encoding(
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence, d_model: int
) -> Float[Array, "*positions {d_model}"]:
    """Sinusoids `PE(p, 2i) = sin(p / 10000^(2i/d))`, `PE(p, 2i+1) = cos(...)`.

    The phase is exact at every int32 position, as in `rope_cos_sin`. An odd width ends
    on a sine.

    Args:
        positions: Integer positions, any shape.
        d_model: Width. Positive.

    Returns:
        float32, the shape of `positions` and then `d_model`. Traced integers outside
        int32 give rows of NaN.

    Raises:
        ValueError: If `d_model` is not positive, `positions` are not integers, or a
            known one lies outside int32.

    Example:
        >>> positional_encoding(jnp.array([[0]]), 5)
        Array([[[0., 1., 0., 1., 0.]]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5.
        https://arxiv.org/abs/1706.03762
    """
    return make_sinusoids(positions, d_model)


@public
def apply_positional_encoding(
    x: Float[Array, "*batch seq_len d_model"],
    positions: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence | None = None,
    *,
    start: int | Integer[Array | np.ndarray, ""] = 0,
    max_len: int | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Adds the paper's sinusoids to `x`, in float32, rounded once.

    Args:
        x: Token vectors.
        positions: Explicit positions; batch axes broadcast against those of `x`. `None`
            is `start ... start + seq_len - 1`.
        start: Position of the first token, which may be traced: one compilation serves
            every step of decoding. Not together with `positions`.
        max_len: Positions must lie in `[0, max_len)`. `None` is no end: every int32.

    Returns:
        The shape and dtype of `x`. Rows of traced positions out of range are NaN, as
        are those past `max_len` where `seq_len` is a symbol of `jax.export`.

    Raises:
        ValueError: If `x` has no sequence axis or is not of a real float dtype,
            `positions` do not fit, are not integers or come with a `start`, `start` is
            not one integer, `max_len` is not positive, or a position that is known
            while tracing is out of range.

    Example:
        >>> apply_positional_encoding(jnp.zeros((1, 2)), start=jnp.asarray(0))
        Array([[0., 1.]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5.
        https://arxiv.org/abs/1706.03762
    """
    if x.ndim < 2:
        raise ValueError(f"{x.shape=} must be (..., seq_len, d_model).")
    bounds = INT32_MIN, INT32_MAX + 1
    if max_len is not None:
        max_len = positive_integer("max_len", max_len)
        bounds = 0, min(max_len, INT32_MAX + 1)
    if positions is None:
        positions, valid = _consecutive(start, x.shape[-2], *bounds)
    elif not isinstance(start, jax.Array | np.ndarray) and start == 0:
        positions, valid = int32_in_range("positions", positions, *bounds)
    else:
        raise ValueError(f"{start=} must not come with positions; add them.")
    check_rows(x, positions.shape)
    encoding = positional_encoding(positions, x.shape[-1])
    return add_rows(x, nan_where_invalid(valid, encoding))


def _consecutive(start, seq_len, lower, upper):
    """Positions from `start` on, and where they are in range."""
    is_array = isinstance(start, jax.Array | np.ndarray) and start.ndim == 0
    if not (
        is_integer(start) or (is_array and jnp.issubdtype(start.dtype, jnp.integer))
    ):
        raise ValueError(f"{start=} must be one integer; pass positions for several.")
    steps = jnp.arange(seq_len, dtype=jnp.int32)
    if not isinstance(start, Tracer):
        start = int(start)
        too_far = exceeds(start + seq_len, upper)
        if start < lower or too_far:
            raise ValueError(
                f"{start=} and {seq_len=} must keep positions in [{lower}, {upper})."
            )
        if too_far is not None:
            return start + steps, None
        start = jnp.asarray(start, jnp.int32)  # the length is known in the program
    start, valid = int32_in_range("start", start)
    positions = start + steps
    # Past int32 the sum wraps to below `start`.
    inside = (positions >= start) & (positions >= lower) & (positions <= upper - 1)
    return positions, inside if valid is None else inside & valid
