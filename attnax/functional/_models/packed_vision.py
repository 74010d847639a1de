"""Images of different sizes in one batch, embedded patch by patch."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Float, Integer

from ..._checks import (
    bool_array,
    check_out_sharding,
    check_params,
    check_precision,
    float_array,
    integer_array,
)
from ..._public import public
from ..._sharding import per_row, sharding_beside, spread, whole_along
from .._patches.embedding import embedded_patches
from .._patches.pack import PackedPatches
from .._resizing.at import rows_at
from .._resizing.resampling import Resampling, check_resampling
from .extra_tokens import insert_tokens
from .vision import VisionEmbeddingParams
from .vision_checks import check_vision_params


@public
def apply_packed_vision_embedding(
    params: VisionEmbeddingParams,
    packed: PackedPatches,
    *,
    table_grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"] | None,
    resampling: Resampling | None,
    precision: lax.PrecisionLike = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Embeds a batch of images of different sizes that `pack_patches` cut.

    Each image is embedded as `apply_vision_embedding` embeds it, with zeros at padding.
    The grids of the images may be traced, so one compiled step serves batches of any
    images.

    Args:
        params: Parameters, see `init_vision_embedding`.
        packed: Batch of images in the form that `pack_patches` returns, in any order of
            patches and with any batch axes. At padding, `mask` is False (or 0) and the
            patches hold any finite numbers.
        table_grid: Grid that the table of positions was made for, `(rows, columns)`.
            It is not read without a table.
        resampling: Record of how positions are resized; `attnax.interop.resampling`
            returns that of a released model. It may be `None` without positions.
        precision: Precision of the product with the patches, one that
            `jax.lax.dot_general` takes.
        out_sharding: Sharding of the result, under a mesh with explicit axes. The
            default, `None`, combines that of the patches and that of the columns of
            their weight.

    Returns:
        The tokens with a position, those without, and the patches in their order, in
        the dtype of `packed.patches`. Traced coordinates and grids that are out of
        range give rows of NaN, as in `resize_positions_at`; without a table of
        positions their values are not read.

    Raises:
        ValueError: If the patches are not of a real float dtype, the parameters do not
            fit each other, the patches or `table_grid`, an array of `packed` does not
            fit its patches or has another dtype, `resampling` is `None` though there
            is a table of positions, or `resize_positions_at` refuses an array.

    Example:
        >>> key, sizes = jax.random.key(0), dict(patch_size=2, num_channels=1)
        >>> params = init_vision_embedding(key, **sizes, d_model=8, table_grid=(2, 3))
        >>> options = dict(table_grid=(2, 3), resampling=Resampling("bilinear", True))
        >>> packed = pack_patches([jnp.ones((4, 2, 1)), jnp.ones((2, 6, 1))], 2, 3)
        >>> apply_packed_vision_embedding(params, packed, **options).shape
        (2, 4, 8)

    Reference:
        Dehghani et al., Patch n' Pack: NaViT, 2023, section 2.
        https://arxiv.org/abs/2307.06304; Tschannen et al., SigLIP 2, 2025, section
        2.4.2. https://arxiv.org/abs/2502.14786
    """
    check_precision(precision)
    check_out_sharding(out_sharding)
    check_params(params, VisionEmbeddingParams)
    patches, coordinates, mask, grids = _checked_arrays(packed)
    wide, num_before, grid = check_vision_params(
        params, table_grid, None, patches.dtype
    )
    if resampling is not None or grid is not None:
        check_resampling(resampling)
    arguments = "params.patch", "packed.patches"
    x = embedded_patches(
        params.patch, patches, patches.dtype, precision, None, arguments
    ).astype(wide)
    before = params.tokens_with_position
    if params.positions is not None:
        table = whole_along(jnp.asarray(params.positions.weight), 0).astype(wide)
        x = x + rows_at(
            table[num_before:],
            grid,
            grids,
            coordinates,
            resampling,
            mask,
            sharding_beside(x, x.shape[:-1]),
            arguments=("packed.grids", "packed.coordinates"),
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


def _checked_arrays(packed):
    """Returns the arrays of a packed batch; raises unless their shapes agree."""
    check_params(packed, PackedPatches, "packed")
    patches = float_array("packed.patches", packed.patches, "num_patches", "patch_dim")
    coordinates = integer_array("packed.coordinates", packed.coordinates)
    mask = bool_array("packed.mask", packed.mask)
    grids = integer_array("packed.grids", packed.grids)
    shape = patches.shape[:-1]
    for field, array, wanted in (
        ("coordinates", coordinates, (*shape, 2)),
        ("mask", mask, shape),
        ("grids", grids, (*shape[:-1], 2)),
    ):
        if array.shape != wanted:
            raise ValueError(
                f"packed.{field}.shape={array.shape} must be {wanted} for "
                f"packed.patches.shape={patches.shape}."
            )
    return jnp.asarray(patches), coordinates, mask, grids
