"""Resized positions of single patches, for grids whose sizes may be traced."""

import dataclasses
from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer

from ..._checks import (
    INT32_MAX,
    INT32_MIN,
    bool_array,
    check_out_sharding,
    float_array,
    grid_sizes,
    int32_in_range,
    integer_array,
    is_known,
    nan_unless,
)
from ..._dtypes import compute_dtype, result_dtype
from ..._public import public
from ..._sharding import per_row, sharding_of_rows
from .axis import largest_size
from .grid import check_grid_table
from .resampling import Resampling, check_resampling
from .rows import resized_rows


@public
def resize_positions_at(
    table: Float[Array | np.ndarray, "old_rows d_model"],
    old_grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    new_grids: Integer[Array | np.ndarray, "*sizes 2"] | Sequence,
    coordinates: Integer[Array | np.ndarray, "*batch num_tokens 2"] | Sequence,
    resampling: Resampling,
    *,
    mask: Bool[Array | np.ndarray, "*batch num_tokens"]
    | Integer[Array | np.ndarray, "*batch num_tokens"]
    | Sequence
    | None = None,
    dtype: DTypeLike | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch num_tokens d_model"]:
    """Returns the resized position of each patch of images of different sizes.

    Each vector is a row that `resize_positions` returns for the grid of that image. The
    sizes and the coordinates may be traced, so one compiled step serves batches of any
    images. Images may be packed and padded, and their patches may have any order. No
    largest side has to be known.

    Args:
        table: Table with one row per position of the old grid, row by row, without a
            prefix.
        old_grid: Grid of the table, `(rows, columns)`.
        new_grids: `(rows, columns)` of each image, in an array `(*batch, 2)`. Where a
            sequence holds several images, the array is `(*batch, num_tokens, 2)`, with
            the grid of the image of each patch.
        coordinates: `(row, column)` of each patch in the grid of its image.
        resampling: Record of the kernel and the sample points, see `resize_positions`.
        mask: Bools (or 0 and 1) that are False at padding, which gets zeros whatever
            its coordinates are. The default, `None`, means no padding.
        dtype: Dtype of the result, which is rounded once. The default, `None`, is that
            of `table`.
        out_sharding: Sharding of the result, under a mesh with explicit axes. The
            default, `None`, combines that of the coordinates and that of the columns
            of the table.

    Returns:
        One vector per patch. Traced sizes that are not positive and traced coordinates
        outside their grid give rows of NaN. Traced sizes above about 2**29 divided by
        the old size and by the denominator of `resampling.offset` do too.

    Raises:
        ValueError: If `table`, `old_grid` or `resampling` is one that
            `resize_positions` refuses, arrays are not integers or do not fit each
            other, or an array that is known outside every transformation is out of
            range.

    Example:
        >>> resampling = Resampling("bilinear", antialias=False)
        >>> where = jnp.array([[1, 2], [0, 0]])
        >>> resize_positions_at(jnp.eye(4), (2, 2), [2, 4], where, resampling)
        Array([[0.  , 0.  , 0.25, 0.75],
               [1.  , 0.  , 0.  , 0.  ]], dtype=float32)

    Reference:
        Dehghani et al., Patch n' Pack: NaViT, 2023, section 2.
        https://arxiv.org/abs/2307.06304; Tschannen et al., SigLIP 2, 2025, section
        2.4.2. https://arxiv.org/abs/2502.14786
    """
    check_resampling(resampling)
    old_grid = grid_sizes("old_grid", old_grid)
    check_out_sharding(out_sharding)
    table = jnp.asarray(float_array("table", table))
    check_grid_table(table, old_grid)
    dtype = result_dtype("dtype", dtype, table.dtype)
    new_grids = integer_array("new_grids", new_grids)
    coordinates = integer_array("coordinates", coordinates)
    if mask is not None:
        mask = bool_array("mask", mask)
    _check_shapes(new_grids, coordinates, mask)
    table = table.astype(compute_dtype(table.dtype))
    if out_sharding is None:
        out_sharding = sharding_of_rows(coordinates, table)
    rows = rows_at(
        table, old_grid, new_grids, coordinates, resampling, mask, out_sharding
    )
    return rows.astype(dtype)


def rows_at(
    table,
    old_grid,
    new_grids,
    coordinates,
    resampling,
    mask,
    out_sharding,
    arguments=("new_grids", "coordinates"),
):
    """Returns what `resize_positions_at` does, in the dtype of the table.

    The arrays are checked and fit each other. `arguments` are the caller's names of the
    grids and the coordinates.
    """
    sizes, index, valid = _in_grids(
        new_grids, coordinates, mask, old_grid, resampling, arguments
    )
    rows = resized_rows(table, index, sizes, old_grid, resampling, out_sharding)
    if resampling.offset:  # a grid of the old size is not resized
        same = (sizes[..., 0] == old_grid[0]) & (sizes[..., 1] == old_grid[1])
        plain = dataclasses.replace(resampling, offset=0.0)
        plain = resized_rows(table, index, sizes, old_grid, plain, out_sharding)
        rows = jnp.where(per_row(same, rows), plain, rows)
    if valid is not None:
        valid = per_row(valid, rows)
        rows = jnp.where(valid, rows, nan_unless(valid, rows.dtype))
    if mask is not None:
        real = per_row(jnp.asarray(mask), rows)
        rows = jnp.where(real, rows, jnp.zeros_like(rows))
    return rows


def _check_shapes(new_grids, coordinates, mask):
    shape = coordinates.shape
    if shape[-1:] != (2,) or len(shape) < 2:
        raise ValueError(f"{coordinates.shape=} must be (*batch, tokens, 2).")
    if new_grids.shape not in ((*shape[:-2], 2), shape):
        raise ValueError(
            f"{new_grids.shape=} must be {(*shape[:-2], 2)}, a size for each "
            f"image, or {shape}, for each patch, with {coordinates.shape=}."
        )
    if mask is not None and mask.shape != shape[:-1]:
        raise ValueError(f"{mask.shape=} must be {shape[:-1]}.")


def _in_grids(new_grids, coordinates, mask, old_grid, resampling, arguments):
    """Returns sizes and coordinates put in range, and a mask of those that were."""
    per_patch = new_grids.ndim == coordinates.ndim
    arrays = [t for t in (new_grids, coordinates, mask) if t is not None]
    known = all(is_known(t) for t in arrays)
    if known:  # NumPy operations are not traced inside `jit`
        new_grids, coordinates, *masks = (np.asarray(t) for t in arrays)
        mask = masks[0] if masks else None
    if mask is not None:
        real = mask[..., None] if per_patch else mask.any(-1, keepdims=True)
        new_grids = _or(real, new_grids, 1, known)
        coordinates = _or(mask[..., None], coordinates, 0, known)
    upper = min(largest_size(size, resampling) for size in old_grid)
    sizes, sizes_valid = int32_in_range(arguments[0], new_grids, 1, upper + 1)
    index, index_valid = int32_in_range(arguments[1], coordinates, 0, upper)
    if not per_patch:
        sizes, new_grids = (t[..., None, :] for t in (sizes, new_grids))
        if sizes_valid is not None:
            sizes_valid = sizes_valid[..., None, :]
    if known:
        new_grids = np.broadcast_to(new_grids, coordinates.shape)
        _check_inside(arguments[1], coordinates, new_grids)
        return sizes, index, None
    inside = index < sizes
    if sizes_valid is not None:
        inside &= sizes_valid
        sizes = jnp.where(sizes_valid, sizes, jnp.ones_like(sizes))
    if index_valid is not None:
        inside &= index_valid
    index = jnp.where(inside, index, jnp.zeros_like(index))
    return sizes, index, inside.all(-1)


def _or(mask, values, other, known):
    """Returns `values` where `mask` is True and `other` elsewhere."""
    if known:
        return np.where(mask, values, other)
    if isinstance(values, np.ndarray) and values.dtype.itemsize > 4:
        values = values.clip(INT32_MIN, INT32_MAX)  # JAX would wrap them
    return jnp.where(jnp.asarray(mask), jnp.asarray(values), other)


def _check_inside(argument, coordinates, new_grids):
    outside = np.argwhere(coordinates >= new_grids)
    if outside.size:
        where = tuple(outside[0].tolist())
        grid = tuple(new_grids[where[:-1]].tolist())
        raise ValueError(
            f"{argument}{list(where)}={coordinates[where]} must lie in the "
            f"grid {grid}; pass a mask for padding."
        )
