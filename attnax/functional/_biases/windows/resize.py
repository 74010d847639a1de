"""Tables of biases by differences of places, resized for another window."""

import functools
import math
from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...._checks import check_flags, check_table, choice, integer, integers
from ...._dtypes import compute_dtype
from ...._public import public
from ...._sharding import whole_along
from ..._resizing.axis import axis_matrix
from ..._resizing.resampling import Resampling
from .geometric import geometric_matrix
from .separable import LINEAR, resized_axis

_RESAMPLINGS = {
    "bilinear": LINEAR,
    "bicubic": Resampling("bicubic", antialias=False),
    "bicubic_antialias": Resampling("bicubic", antialias=True),
}
_GEOMETRIC = ("geometric", "geometric_cubic")


@public
def resize_relative_table(
    table: Float[Array | np.ndarray, "old_rows num_heads"],
    old_window: Sequence[SupportsIndex],
    new_window: Sequence[SupportsIndex],
    *,
    method: str,
    signed: bool = True,
    num_extra_rows: SupportsIndex = 0,
) -> Float[Array, "new_rows num_heads"]:
    """Returns the table of a window, resized for another window.

    The rows of a table are a grid of differences, and each axis of it is resized by a
    matrix product, in float32 or wider; the result is rounded once. Each family has its
    rule:

    - `"bilinear"` is linear between the differences, with half-pixel centers: BEiT in
      transformers and in MiDaS, and the tables of one axis of MViTv2, ViTDet and SAM.
    - `"bicubic"` is the cubic kernel of PyTorch: Swin, and Video Swin.
    - `"bicubic_antialias"` is the same with antialiasing: LeViT and its kin in timm.
    - `"geometric"` puts the old differences at 0, 1, 1 + q, 1 + q + q ** 2, ... up to
      the largest new one and is linear between them: BEiT in timm.
    - `"geometric_cubic"` draws a cubic spline through these: BEiT's own code. It needs
      three places along each axis.

    The ratio q lies between 1.01 and 1.5. In a much larger window, the outermost
    differences therefore have the last value of the old table, and in a smaller one the
    result is nearly a part of the table. The geometric rules also change an axis that
    keeps its size if another axis does not.

    Args:
        table: Table `(num_rows, num_heads)`, the differences row by row.
        old_window: Window of the table: `(rows, columns)`, `(frames, rows, columns)`,
            or one number in a tuple for the table of one axis.
        new_window: Window to resize to. The old window gives the table itself.
        method: One of the rules above. There is no default, since released models
            differ.
        signed: Whether the table has a row for each difference, `2 * n - 1` along an
            axis of `n` places, as `WindowBias` and `DecomposedBias` have. `False` is
            for a row for each distance without a sign, `n` of them, as `OffsetBias`
            has.
        num_extra_rows: Number of rows at the end that belong to no difference, as the
            three of BEiT. These rows are not changed. Not negative.

    Returns:
        The table of the new window, in the dtype of `table`.

    Raises:
        ValueError: If the rows of the table are not those of the old window, windows
            have different numbers of axes, a size is not positive, `method` is unknown,
            `signed` is False with a geometric rule, or an axis is too short for the
            spline.

    Example:
        >>> table = jnp.array([[0.0], [2.0], [4.0]])
        >>> resize_relative_table(table, (2,), (3,), method="bilinear")[:, 0]
        Array([0. , 0.8, 2. , 3.2, 4. ], dtype=float32)

    Reference:
        Liu et al., Swin Transformer, 2021, section 3.2.
        https://arxiv.org/abs/2103.14030; Bao et al., BEiT, 2022, `load_pretrained` of
        its code. https://arxiv.org/abs/2106.08254; Keys, 1981, eq. 8, for the cubic
        kernel.
    """
    check_table("table", table)
    check_flags(signed=signed)
    choice("method", method, (*_RESAMPLINGS, *_GEOMETRIC))
    old = _window("old_window", old_window)
    new = _window("new_window", new_window)
    if len(old) != len(new):
        raise ValueError(f"{new_window=} must have as many axes as {old_window=}.")
    extra = integer("num_extra_rows", num_extra_rows, 0)
    sizes, new_sizes = _sizes(old, signed), _sizes(new, signed)
    if table.shape[0] != math.prod(sizes) + extra:
        raise ValueError(
            f"{table.shape=} must have {' * '.join(map(str, sizes))} + {extra} rows "
            f"for {old_window=} and {num_extra_rows=}."
        )
    matrix = _matrix_of(method, signed, old)
    array = jnp.asarray(table)
    return array if old == new else _resized(array, sizes, new_sizes, matrix)


def _resized(table, old, new, matrix):
    """The rows of a grid of the sizes `new`, and those after the grid as they are."""
    table = whole_along(table, 0)  # a new row may need rows of several devices
    count = math.prod(old)
    grid = table[:count].astype(compute_dtype(table.dtype)).reshape(*old, -1)
    for axis, sizes in enumerate(zip(old, new, strict=True)):
        grid = resized_axis(grid, axis, matrix(*sizes))
    rows = grid.reshape(-1, table.shape[1]).astype(table.dtype)
    return rows if count == len(table) else jnp.concatenate([rows, table[count:]])


def _window(argument, window) -> tuple[int, ...]:
    """A window of one to three positive sizes."""
    sizes = integers(argument, window)
    if not 1 <= len(sizes) <= 3 or min(sizes) < 1:
        raise ValueError(
            f"{argument}={window!r} must be (rows, columns), (frames, rows, columns) "
            "or (places,), of positive integers."
        )
    return sizes


def _sizes(window, signed):
    """How many rows there are along each axis."""
    return tuple(2 * n - 1 if signed else n for n in window)


def _matrix_of(method, signed, old_window):
    """The function `(old_size, new_size)` to the matrix that resizes an axis."""
    if method in _RESAMPLINGS:
        resampling = _RESAMPLINGS[method]
        return lambda old, new: axis_matrix(old, new, resampling)
    if not signed:
        raise ValueError(f"{signed=} must be True with {method=}.")
    cubic = method == "geometric_cubic"
    if cubic and min(old_window) < 3:
        raise ValueError(
            f"{old_window=} must have at least 3 places along each axis with {method=}."
        )
    return functools.partial(geometric_matrix, cubic=cubic)
