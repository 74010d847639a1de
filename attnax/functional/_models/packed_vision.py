"""Images of different sizes in one batch, embedded patch by patch."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Bool, Float, Integer

from ..._checks import (
    bool_array,
    check_out_sharding,
    check_params,
    check_precision,
    float_array,
    integer_array,
)
from ..._public import public
from ..._sharding import per_row, sharding_beside, spread, whole_rows
from .._patches.embedding import embedded_patches
from .._resizing.at import resize_positions_at
from .._resizing.resampling import Resampling, check_resampling
from .extra_tokens import insert_tokens
from .vision import VisionEmbeddingParams
from .vision_checks import check_vision_params


@public
def apply_packed_vision_embedding(
    params: VisionEmbeddingParams,
    patches: Float[Array | np.ndarray, "*batch num_patches patch_dim"],
    coordinates: Integer[Array | np.ndarray, "*batch num_patches 2"] | Sequence,
    mask: Bool[Array | np.ndarray, "*batch num_patches"]
    | Integer[Array | np.ndarray, "*batch num_patches"]
    | Sequence,
    grids: Integer[Array | np.ndarray, "*batch 2"] | Sequence,
    *,
    grid: tuple[int, ...] | None,
    resampling: Resampling | None,
    precision: lax.PrecisionLike = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Embeds images of different sizes in one batch, cut into patches and padded.

    As `apply_vision_embedding` embeds each image, with zeros at padding. The sizes may
    be traced: one compiled step serves batches of any images. `*packed` are the four
    arrays that `pack_patches` returns. `grids` are of the images, one for each; `grid`
    is of the table of positions, one for all.

    Args:
        params: As `init_vision_embedding` draws them.
        patches: One row per patch, its features in the order of the rows of
            `params.patch.weight`; anything finite at padding.
        coordinates: `(row, column)` of each patch in the grid of its image.
        mask: True (or 1) at patches, False at padding.
        grids: Of the images: `(rows, columns)` of patches of each, an array.
        grid: Of the table: `(rows, columns)` that its positions were made for, two
            numbers; not read without one.
        resampling: How positions are resized; `attnax.interop.resampling` has the way
            of released models. It may be `None` without positions.
        precision: Of the patches' matrix product, as in `jax.lax.dot_general`.
        out_sharding: Sharding of the result, under a mesh with explicit axes. `None` is
            that of the patches, with the columns of their weight.

    Returns:
        The tokens before, those after and the patches as they came, in the dtype of
        `patches`. Coordinates and sizes that are traced and out of range give rows of
        NaN, as in `resize_positions_at`; without positions their values are not read.

    Raises:
        ValueError: If the patches are not of a real float dtype, the parameters do not
            fit each other, the patches or `grid`, `coordinates`, `mask` or `grids` do
            not fit the patches or have another dtype, `resampling` is `None` though
            there are positions, or as `resize_positions_at` does.

    Example:
        >>> key, sizes = jax.random.key(0), dict(patch_size=2, num_channels=1)
        >>> params = init_vision_embedding(key, **sizes, d_model=8, grid=(2, 3))
        >>> where, real = jnp.array([[0, 0], [1, 0]]), jnp.array([True, True])
        >>> options = dict(grid=(2, 3), resampling=Resampling("bilinear", True))
        >>> packed = jnp.ones((2, 4)), where, real, jnp.array([2, 1])
        >>> apply_packed_vision_embedding(params, *packed, **options).shape
        (3, 8)

    Reference:
        Dehghani et al., Patch n' Pack: NaViT, 2023, section 2.
        https://arxiv.org/abs/2307.06304; Tschannen et al., SigLIP 2, 2025, section
        2.4.2. https://arxiv.org/abs/2502.14786
    """
    check_precision(precision)
    check_out_sharding(out_sharding)
    patches = jnp.asarray(float_array("patches", patches))
    check_params(params, VisionEmbeddingParams)
    wide, num_before = check_vision_params(params, grid, None, patches.dtype)
    coordinates = integer_array("coordinates", coordinates)
    mask = bool_array("mask", mask)
    grids = integer_array("grids", grids)
    _check_arrays(patches, coordinates, mask, grids)
    if resampling is not None:
        check_resampling(resampling)
    x = embedded_patches(params.patch, patches, patches.dtype, precision, None).astype(
        wide
    )
    before = params.tokens_with_position
    if params.positions is not None and grid is not None:
        resampling = check_resampling(resampling)
        table = whole_rows(params.positions.weight).astype(wide)
        old_grid, rows = (grid[0], grid[1]), table[num_before:]
        where = {"mask": mask, "out_sharding": sharding_beside(x, x.shape[:-1])}
        x = x + resize_positions_at(
            rows, old_grid, grids, coordinates, resampling, **where
        )
        if before is not None:
            rows = table[:num_before]
            before = spread(before, sharding_beside(rows, (1,))).astype(wide) + rows
    x = jnp.where(per_row(jnp.asarray(mask), x), x, jnp.zeros_like(x))
    if before is not None:
        x = insert_tokens(x, before)
    if params.tokens_without_position is not None:
        x = insert_tokens(x, params.tokens_without_position, index=num_before)
    return spread(x.astype(patches.dtype), out_sharding)


def _check_arrays(patches, coordinates, mask, grids):
    """Shapes, with positions or without."""
    shape = patches.shape[:-1]
    if mask.shape != shape:
        raise ValueError(f"{mask.shape=} must be that of the patches.")
    for array_name, array, wanted in (
        ("coordinates", coordinates, (*shape, 2)),
        ("grids", grids, (*shape[:-1], 2)),
    ):
        if array.shape != wanted:
            raise ValueError(
                f"{array_name}.shape={array.shape} must be {wanted} for "
                f"{patches.shape=}."
            )
