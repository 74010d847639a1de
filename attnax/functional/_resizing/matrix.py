"""What resizes one axis of a grid, as arrays that a compiled step can take or make."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int32, Integer

from ..._checks import int32_in_range, nan_where_invalid, positive_integer
from ..._public import public
from .axis import dense_weights, largest_size, resizing, tap_weights


@public
def resize_matrix(
    old_size: int,
    new_size: int | Integer[Array | np.ndarray, "*batch"] | Sequence,
    *,
    method: str,
    antialias: bool,
    align_corners: bool = False,
    offset: float = 0.0,
    max_size: int | None = None,
) -> Float32[Array, "*batch max_size {old_size}"]:
    """The matrix that resizes one axis of a grid; `resize_positions` is one for each.

    Args:
        old_size: Rows (or columns) of the table. Positive.
        new_size: Rows wanted. Positive; it may be traced, one for each image.
        method: As in `resize_positions`, like the next three.
        antialias: See there.
        align_corners: See there.
        offset: See there.
        max_size: Rows of the matrix; those past `new_size` are zero. It may be left out
            where `new_size` is a Python int.

    Returns:
        A matrix for each `new_size`, in float32. Traced sizes outside `[1, max_size]`
        give NaN.

    Raises:
        ValueError: As `resize_positions` does; if `new_size` is not an integer, or
            known and outside `[1, max_size]`, or `max_size` missing or too large for
            int32 arithmetic (2**29 divided by the old size and the denominator of
            `offset`).

    Example:
        >>> options = dict(method="bilinear", antialias=False)
        >>> resize_matrix(2, 4, **options)
        Array([[1.  , 0.  ],
               [0.75, 0.25],
               [0.25, 0.75],
               [0.  , 1.  ]], dtype=float32)

    Reference:
        Tschannen et al., SigLIP 2, 2025, section 2.4.2.
        https://arxiv.org/abs/2502.14786
    """
    how = resizing(method, antialias, align_corners, offset)
    index, size, valid = _rows(old_size, new_size, max_size, how)
    # Past the last row the weights could be 0 / 0.
    row = jnp.minimum(index, size - 1)
    weights = dense_weights(jnp, jnp.float32, row, size, old_size, how)
    weights = jnp.where((index < size)[..., None], weights, 0)
    return nan_where_invalid(valid, weights)


@public
def resize_taps(
    old_size: int,
    new_size: int | Integer[Array | np.ndarray, "*batch"] | Sequence,
    *,
    method: str,
    align_corners: bool = False,
    offset: float = 0.0,
    max_size: int | None = None,
) -> tuple[
    Int32[Array, "*batch max_size taps"], Float32[Array, "*batch max_size taps"]
]:
    """The few rows that each row of a resized axis reads, without antialiasing.

    The same map as `resize_matrix` with `antialias=False`, for gathers: two taps for
    `"bilinear"`, four for `"bicubic"`.

    Args:
        old_size: As in `resize_matrix`.
        new_size: See there.
        method: As in `resize_positions`, like the next two.
        align_corners: See there.
        offset: See there.
        max_size: As in `resize_matrix`.

    Returns:
        Indices in `[0, old_size)`, and weights which sum to 1. Rows past `new_size`
        have weights of zero; traced sizes outside `[1, max_size]` have NaN.

    Raises:
        ValueError: As `resize_matrix` does.

    Example:
        >>> taps, weights = resize_taps(2, 4, method="bilinear")
        >>> taps.tolist(), weights[:, 1].tolist()
        ([[0, 0], [0, 1], [0, 1], [1, 1]], [0.75, 0.25, 0.75, 0.25])

    Reference:
        Bai et al., Qwen3-VL, 2025, whose code reads four taps.
        https://arxiv.org/abs/2511.21631
    """
    how = resizing(method, False, align_corners, offset)
    index, size, valid = _rows(old_size, new_size, max_size, how)
    taps, weights = tap_weights(jnp, jnp.float32, index, size, old_size, how)
    inside = (index < size)[..., None]
    weights = nan_where_invalid(valid, jnp.where(inside, weights, 0))
    return jnp.where(inside, taps, 0), weights


def _rows(old_size, new_size, max_size, how):
    """Numbers of the rows, the sizes beside them, and which sizes are in range."""
    old_size = positive_integer("old_size", old_size)
    if isinstance(new_size, int) and max_size is None:
        max_size = positive_integer("new_size", new_size)
    if max_size is None:
        raise ValueError(f"{max_size=} must be given where new_size is data.")
    max_size, limit = (
        positive_integer("max_size", max_size),
        largest_size(old_size, how),
    )
    if max_size > limit:
        raise ValueError(f"{max_size=} must be at most {limit}.")
    size, valid = int32_in_range("new_size", new_size, 1, max_size + 1)
    if valid is not None:
        size = jnp.where(valid, size, jnp.ones_like(size))
    shape = (*size.shape, max_size)
    index = jnp.broadcast_to(jnp.arange(max_size, dtype=jnp.int32), shape)
    return index, size[..., None], valid
