"""Checks that the parameters and settings of a vision embedding agree."""

import math

import jax

from ..._checks import check_params, float_array, is_integer
from ..._dtypes import compute_dtype
from .._patches.embedding import PatchEmbeddingParams
from .._patches.sizes import as_size
from .._tables.learned import LearnedPositionalEmbeddingParams


def num_patches(table_grid, patch_size):
    """Returns the number of patches; `patch_size` is `None` for packed patches."""
    num_axes, reason = 2, ": packed batches are of images"
    if patch_size is not None:
        num_axes = len(as_size("patch_size", patch_size))
        reason = f" for {patch_size=}"
    fits = isinstance(table_grid, tuple | list) and len(table_grid) == num_axes
    if not fits or not all(is_integer(size) and size > 0 for size in table_grid):
        raise ValueError(
            f"{table_grid=} must be {num_axes} positive numbers of patches{reason}."
        )
    return math.prod(table_grid)


def check_vision_params(params, table_grid, patch_size, dtype):
    """Returns the compute dtype and the number of tokens with positions.

    `patch_size` is `None` for packed patches.
    """
    patch, positions, before, after, mask_token = params
    check_params(patch, PatchEmbeddingParams, "params.patch")
    check_params(
        positions, LearnedPositionalEmbeddingParams, "params.positions", optional=True
    )
    float_array("params.patch.weight", patch.weight, nan=False)
    if patch.bias is not None:
        float_array("params.patch.bias", patch.bias, nan=False)
    d_model = patch.weight.shape[-1]
    table = None if positions is None else positions.weight
    for array_name, array, num_axes in (
        ("positions.weight", table, 2),
        ("tokens_with_position", before, 2),
        ("tokens_without_position", after, 2),
        ("mask_token", mask_token, 1),
    ):
        if array is None:
            continue
        float_array(f"params.{array_name}", array)
        if array.ndim != num_axes or array.shape[-1] != d_model:
            raise ValueError(
                f"params.{array_name} of shape {array.shape} must have the "
                f"width of params.patch.weight, {d_model}."
            )
    num_before = 0 if before is None else before.shape[0]
    if table is not None:
        num_rows = num_patches(table_grid, patch_size)
        if table.shape[0] != num_before + num_rows:
            raise ValueError(
                f"params.positions.weight of shape {table.shape} must have "
                f"{num_before} + {num_rows} rows: one per token of "
                f"tokens_with_position and one per patch of {table_grid=}."
            )
    return compute_dtype(dtype, *(a.dtype for a in jax.tree.leaves(params))), num_before
