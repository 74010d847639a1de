"""The input of vision transformers: patches, positions and extra tokens."""

import math
from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from ..._checks import (
    check_flags,
    check_key,
    check_out_sharding,
    check_params,
    check_precision,
    float_array,
    integer,
    side_lengths,
)
from ..._public import public
from ..._sharding import spread
from .._patches.embedding import embedded_image
from .._patches.params import PatchEmbeddingParams, init_patch_embedding
from .._patches.patch_grid import grid_of_image
from .._resizing.resampling import Resampling, check_resampling
from .._tables.add import add_rows
from .._tables.learned import (
    LearnedPositionalEmbeddingParams,
    init_learned_positional_embedding,
)
from .extra_tokens import insert_tokens
from .masked import replace_masked
from .vision_checks import check_vision_params, checked_grid
from .vision_positions import resized_for


class VisionEmbeddingParams(NamedTuple):
    """Parameters of the embedding of a vision transformer.

    Attributes:
        patch: The projection of the patches.
        positions: One row per token of `tokens_with_position`, then one per patch, row
            by row; or `None`.
        tokens_with_position: Tokens that are put before the patches and get positions
            (class token, distillation token), or `None`.
        tokens_without_position: Tokens that are put between `tokens_with_position` and
            the patches and get no positions (registers, or a class token without a
            position), or `None`.
        mask_token: Vector that replaces masked patches, or `None`.
    """

    patch: PatchEmbeddingParams
    positions: LearnedPositionalEmbeddingParams | None
    tokens_with_position: Float[Array, "num_before d_model"] | None
    tokens_without_position: Float[Array, "num_after d_model"] | None
    mask_token: Float[Array, " d_model"] | None = None


@public
def init_vision_embedding(
    key: PRNGKeyArray,
    *,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    num_channels: SupportsIndex,
    d_model: SupportsIndex,
    table_grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"] | None,
    num_tokens_with_position: SupportsIndex = 1,
    num_tokens_without_position: SupportsIndex = 0,
    positions: bool = True,
    mask_token: bool = False,
    use_bias: bool = True,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> VisionEmbeddingParams:
    """Draws the parameters of `apply_vision_embedding`.

    `init_patch_embedding` draws the projection. All else is drawn from a normal
    distribution truncated at two standard deviations.

    Args:
        key: A JAX random key.
        patch_size: Side of a patch in pixels, `(height, width)`, or for video
            `(frames, height, width)`.
        num_channels: Channels of the image. Positive.
        d_model: Width of the embedding. Positive.
        table_grid: Grid of patches that the positions are made for, `(rows, columns)`
            or `(frames, rows, columns)`. It is not read without positions.
        num_tokens_with_position: Number of tokens before the patches that have
            positions. Not negative.
        num_tokens_without_position: Number of tokens between those and the patches,
            without positions. Not negative.
        positions: Whether there is a table of positions.
        mask_token: Whether there is a token for masked patches.
        use_bias: Whether the projection has a bias.
        init_std: Standard deviation of the normal distribution before it is truncated.
            Not negative.
        dtype: Dtype of the parameters. The default, `None`, is JAX's default float.

    Returns:
        The parameters. Fields of parts that were not asked for are `None`.

    Raises:
        ValueError: If `key` is not one random key, a size is not positive, a number of
            tokens or `init_std` is negative, `table_grid` has other axes than
            `patch_size`, or `dtype` is not a real float.

    Example:
        >>> sizes = dict(patch_size=4, num_channels=3, d_model=8, table_grid=(2, 3))
        >>> params = init_vision_embedding(jax.random.key(0), **sizes)
        >>> params.positions.weight.shape, params.tokens_with_position.shape
        ((7, 8), (1, 8))

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1.
        https://arxiv.org/abs/2010.11929
    """
    check_key(key)
    check_flags(positions=positions, mask_token=mask_token)
    num_before = integer("num_tokens_with_position", num_tokens_with_position, 0)
    num_after = integer("num_tokens_without_position", num_tokens_without_position, 0)
    num_rows = 0
    if positions:
        sides = side_lengths("patch_size", patch_size)
        num_rows = num_before + math.prod(checked_grid(table_grid, sides))
    patch_key, *keys = jax.random.split(key, 5)
    patch = init_patch_embedding(
        patch_key,
        patch_size=patch_size,
        num_channels=num_channels,
        d_model=d_model,
        use_bias=use_bias,
        dtype=dtype,
    )

    def rows(key, num_rows):
        if num_rows == 0:
            return None
        return init_learned_positional_embedding(
            key, num_rows, d_model, init_std=init_std, dtype=dtype
        )

    table = rows(keys[0], num_rows)
    before, after = rows(keys[1], num_before), rows(keys[2], num_after)
    mask_row = rows(keys[3], int(mask_token))
    return VisionEmbeddingParams(
        patch=patch,
        positions=table,
        tokens_with_position=None if before is None else before.weight,
        tokens_without_position=None if after is None else after.weight,
        mask_token=None if mask_row is None else mask_row.weight[0],
    )


@public
def apply_vision_embedding(
    params: VisionEmbeddingParams,
    image: Float[Array | np.ndarray, "*batch_and_frames height width channels"],
    *,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    table_grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"] | None,
    resampling: Resampling | None = None,
    masked: Bool[Array | np.ndarray, "*#batch num_patches"]
    | Integer[Array | np.ndarray, "*#batch num_patches"]
    | Sequence
    | None = None,
    precision: lax.PrecisionLike = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Embeds an image for a vision transformer: patches, positions and extra tokens.

    The result is `[tokens_with_position + p, tokens_without_position, patches + p]`,
    where `p` are rows of the table of positions. The rows of the patches are resized if
    the image has another grid. The arithmetic is in float32 or wider, and the result is
    rounded once. docs/models/vision.md lists the tokens of released models.

    Args:
        params: Parameters, see `init_vision_embedding`.
        image: Image with channels last, `(*batch, height, width, channels)`, or video
            `(*batch, frames, height, width, channels)`, of any size that `patch_size`
            divides.
        patch_size: Side of a patch in pixels, `(height, width)`, or for video
            `(frames, height, width)`.
        table_grid: Grid of patches that the table of positions was made for, `(rows,
            columns)` or `(frames, rows, columns)`. It is not read without a table.
        resampling: Record of how positions are resized if the image has another grid.
            It must be given then, since released models differ;
            `attnax.interop.resampling` returns theirs. Videos must have the grid of
            the table.
        masked: Bools (or 0 and 1) that are True at patches that `mask_token` replaces.
            Batch axes broadcast.
        precision: Precision of the product with the patches, one that
            `jax.lax.dot_general` takes.
        out_sharding: Sharding of the result, under a mesh with explicit axes. The
            default, `None`, combines that of the batch and that of the columns of the
            patches' weight.

    Returns:
        The tokens with a position, those without, and the patches row by row, in the
        dtype of `image`.

    Raises:
        ValueError: If the image is not of a real float dtype or not a multiple of the
            patch, the parameters do not fit each other, the patch or `table_grid`,
            an image of another grid comes without `resampling`, a video has another
            grid, `resampling` is not a `Resampling`, or `masked` does not hold bools
            (or 0 and 1), does not fit or comes without a `mask_token`.

    Example:
        >>> sizes = dict(patch_size=4, table_grid=(2, 3))
        >>> key, more = jax.random.key(0), dict(num_channels=3, d_model=8)
        >>> params = init_vision_embedding(key, **sizes, **more)
        >>> apply_vision_embedding(params, jnp.ones((8, 12, 3)), **sizes).shape
        (7, 8)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1 and section 3.2.
        https://arxiv.org/abs/2010.11929; registers: Darcet et al., 2023.
        https://arxiv.org/abs/2309.16588; masks: Bao et al., BEiT, 2021, section 2.3.
        https://arxiv.org/abs/2106.08254
    """
    check_precision(precision)
    check_out_sharding(out_sharding)
    image = jnp.asarray(float_array("image", image))
    check_params(params, VisionEmbeddingParams)
    patch = side_lengths("patch_size", patch_size)
    wide, num_before, grid = check_vision_params(params, table_grid, patch, image.dtype)
    if resampling is not None:
        check_resampling(resampling)
    # Patches are not rounded before positions are added.
    x = embedded_image(
        params.patch, image, patch, image.dtype, precision, None, "params.patch"
    ).astype(wide)
    if masked is not None:
        x = replace_masked(x, masked, params.mask_token)
    if params.tokens_with_position is not None:
        x = insert_tokens(x, params.tokens_with_position)
    if params.positions is not None:
        table = params.positions.weight.astype(wide)
        new_grid = grid_of_image(image, patch)
        rows = resized_for(table, grid, new_grid, resampling, num_before)
        x = add_rows(x, rows)
    if params.tokens_without_position is not None:
        x = insert_tokens(x, params.tokens_without_position, index=num_before)
    return spread(x.astype(image.dtype), out_sharding)
