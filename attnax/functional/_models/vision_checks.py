"""Checks that the parameters and settings of a vision embedding agree."""

import math

import jax

from ..._checks import check_params, check_width, float_array, grid_sizes
from ..._dtypes import compute_dtype
from .._patches.params import check_patch_params
from .._tables.learned import LearnedPositionalEmbeddingParams


def checked_grid(table_grid, patch) -> tuple[int, ...]:
    """Returns the grid as ints; raises unless it has the axes of `patch`.

    `patch` is `None` for packed patches.
    """
    grid = grid_sizes("table_grid", table_grid, most_axes=3)
    num_axes, reason = 2, ": packed batches are of images"
    if patch is not None:
        num_axes, reason = len(patch), f" for patch_size={patch}"
    if len(grid) != num_axes:
        raise ValueError(f"{table_grid=} must have {num_axes} axes{reason}.")
    return grid


def check_vision_params(params, table_grid, patch, dtype):
    """Returns the compute dtype, the number of tokens with positions and the grid.

    The grid of the table as ints is `None` without positions. `patch` holds the sides
    of a patch, or is `None` for packed patches.
    """
    embedding, positions, before, after, mask_token = params
    check_patch_params(embedding, "params.patch")
    check_params(
        positions, LearnedPositionalEmbeddingParams, "params.positions", optional=True
    )
    table = None if positions is None else positions.weight
    for name, array, num_axes in (
        ("params.positions.weight", table, 2),
        ("params.tokens_with_position", before, 2),
        ("params.tokens_without_position", after, 2),
        ("params.mask_token", mask_token, 1),
    ):
        if array is None:
            continue
        float_array(name, array)
        if array.ndim != num_axes:
            axes = "one axis" if num_axes == 1 else "two axes"
            raise ValueError(f"{name}.shape={array.shape} must have {axes}.")
        check_width(name, array, "params.patch.weight", embedding.weight)
    num_before = 0 if before is None else before.shape[0]
    wide = compute_dtype(dtype, *(array.dtype for array in jax.tree.leaves(params)))
    if table is None:
        return wide, num_before, None
    grid = checked_grid(table_grid, patch)
    if table.shape[0] != num_before + math.prod(grid):
        raise ValueError(
            f"params.positions.weight.shape={table.shape} must have "
            f"{num_before} + {math.prod(grid)} rows: one per token of "
            f"tokens_with_position and one per patch of {table_grid=}."
        )
    return wide, num_before, grid
