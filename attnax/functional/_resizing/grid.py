"""Learned positions of a grid, resized for images of another size."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Integer

from ..._checks import float_array, grid_sizes, integer
from ..._dtypes import compute_dtype
from ..._public import public
from ..._sharding import whole_along
from .axis import axis_matrix
from .resampling import Resampling, check_resampling


@public
def resize_positions(
    table: Float[Array | np.ndarray, "old_rows d_model"],
    old_grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    new_grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    resampling: Resampling,
    *,
    num_prefix_tokens: SupportsIndex = 0,
) -> Float[Array, "new_rows d_model"]:
    """Resizes a learned grid of positions, as `torch.nn.functional.interpolate` does.

    Each axis that changes costs one matrix product, in float32 or wider. The result is
    rounded once.

    Args:
        table: Table with one row per position: first those of the prefix tokens, then
            the grid row by row.
        old_grid: Grid of the table, `(rows, columns)`.
        new_grid: Grid to resize to, `(rows, columns)`. The old grid gives `table`
            itself.
        resampling: Record of the kernel and the sample points. There is no default,
            since released models differ; `attnax.interop.resampling` returns the
            record of a model by name.
        num_prefix_tokens: Number of rows at the start that belong to no patch (class,
            distillation). These rows are not changed.

    Returns:
        The rows of the prefix and those of `new_grid`, in the dtype of `table`. A NaN
        or an infinity in the old grid may spread to every new row, because the new
        rows are matrix products.

    Raises:
        ValueError: If the grid and the prefix do not fill `table`, a size is not
            positive, `table` is not of a real float dtype, or `resampling` is not a
            `Resampling`.

    Example:
        >>> table = jnp.array([[0.0], [4.0], [8.0], [12.0]])
        >>> resampling = Resampling("bilinear", antialias=False)
        >>> resize_positions(table, (2, 2), (2, 4), resampling)[:, 0]
        Array([ 0.,  1.,  3.,  4.,  8.,  9., 11., 12.], dtype=float32)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.2.
        https://arxiv.org/abs/2010.11929; Keys, 1981, eq. 8, for the cubic kernel.
    """
    check_resampling(resampling)
    old_grid = grid_sizes("old_grid", old_grid)
    new_grid = grid_sizes("new_grid", new_grid)
    num_prefix_tokens = integer("num_prefix_tokens", num_prefix_tokens, 0)
    array = jnp.asarray(float_array("table", table))
    check_grid_table(array, old_grid, num_prefix_tokens)
    if new_grid == old_grid:
        return array
    return _resized(array, old_grid, new_grid, resampling, num_prefix_tokens)


def _resized(table, old_grid, new_grid, resampling, num_prefix_tokens):
    """Resizes each axis by one matrix product and keeps the prefix."""
    table = whole_along(table, 0)  # each new row may need rows of several devices
    wide = compute_dtype(table.dtype)
    grid = table[num_prefix_tokens:].astype(wide).reshape(*old_grid, table.shape[1])
    for axis, subscripts in enumerate(("ri,icd->rcd", "cj,rjd->rcd")):
        old, new = old_grid[axis], new_grid[axis]
        # With an offset, an axis that keeps its size may be sampled beside its rows.
        if new != old or resampling.offset:
            weights = jnp.asarray(axis_matrix(old, new, resampling), wide)
            # An accelerator's default precision would keep half of the bits.
            grid = jnp.einsum(
                subscripts, weights, grid, precision=lax.Precision.HIGHEST
            )
    resized = grid.reshape(math.prod(new_grid), table.shape[1]).astype(table.dtype)
    if num_prefix_tokens == 0:
        return resized
    return jnp.concatenate([table[:num_prefix_tokens], resized])


def check_grid_table(table, old_grid, num_prefix_tokens=None):
    """Raises unless the rows of a table are those of its prefix and its grid.

    `None` stands for a function without an argument `num_prefix_tokens`.
    """
    rows, columns = old_grid
    num_prefix = num_prefix_tokens or 0
    if table.ndim != 2 or table.shape[0] != num_prefix + rows * columns:
        prefix = f"{num_prefix} + " if num_prefix else ""
        given = "" if num_prefix_tokens is None else f" and {num_prefix_tokens=}"
        raise ValueError(
            f"{table.shape=} must be ({prefix}{rows} * {columns}, d_model) for "
            f"{old_grid=}{given}."
        )
