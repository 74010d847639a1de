"""Patch embedding: turns an image into a sequence of linearly embedded patches."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ..._checks import check_out_sharding, check_precision, float_array, side_lengths
from ..._dtypes import result_dtype
from ..._public import public
from .channels_last import check_channels_last
from .params import PatchEmbeddingParams, check_patch_params
from .patchify import patches_of
from .product import patch_product, with_bias


@public
def apply_patch_embedding(
    params: PatchEmbeddingParams,
    image: Float[Array | np.ndarray, "*batch_and_frames height width channels"],
    *,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch num_patches d_model"]:
    """Embeds the patches of an image, as a convolution with stride `patch_size` does.

    The kernel of that convolution has the size of a patch. The work is one matrix
    product of the patches with the weight, accumulated in float32. Operands of
    different dtypes are widened, never narrowed.

    Args:
        params: Parameters with `weight` and `bias`.
        image: Image with channels last, `(*batch, height, width, channels)`, or video
            `(*batch, frames, height, width, channels)`, of any size that `patch_size`
            divides.
        patch_size: Side of a patch in pixels, `(height, width)`, or for video
            `(frames, height, width)`.
        dtype: Dtype of the result, which is rounded once. The default, `None`, is that
            of `image`.
        precision: Precision of the matrix product, one that `jax.lax.dot_general`
            takes.
        out_sharding: Sharding of the result, under a mesh with explicit axes. The
            default, `None`, combines that of the batch and that of the columns of the
            weight.

    Returns:
        One vector per patch, row by row; videos come frame by frame.

    Raises:
        ValueError: If a dtype is not a real float (scale integers first), the image is
            not a multiple of the patch, its pixels or channels are sharded, or the
            weight is not for patches of this size and number of channels.

    Example:
        >>> params = PatchEmbeddingParams(weight=jnp.ones((4, 2)), bias=None)
        >>> apply_patch_embedding(params, jnp.ones((2, 4, 1)), patch_size=2)
        Array([[4., 4.],
               [4., 4.]], dtype=float32)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1.
        https://arxiv.org/abs/2010.11929; for video, Arnab et al., ViViT, 2021, section
        3.2. https://arxiv.org/abs/2103.15691
    """
    check_precision(precision)
    check_out_sharding(out_sharding)
    check_patch_params(params, "params")
    patch = side_lengths("patch_size", patch_size)
    image = jnp.asarray(float_array("image", image, nan=False))
    own = image.dtype
    dtype = own if dtype is None else result_dtype("dtype", dtype, own)
    x = embedded_image(params, image, patch, dtype, precision, out_sharding)
    return x.astype(dtype)


@public
def apply_patch_projection(
    params: PatchEmbeddingParams,
    patches: Float[Array | np.ndarray, "*batch num_patches patch_dim"],
    *,
    dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch num_patches d_model"]:
    """Embeds patches that are cut already, such as those of `pack_patches`.

    `apply_patch_embedding` is this function after `patchify`. The work is one matrix
    product, accumulated in float32. Operands of different dtypes are widened, never
    narrowed.

    Args:
        params: Parameters with `weight` and `bias`.
        patches: One row per patch, with its features in the order of the rows of
            `weight`. `patchify` and `pack_patches` return such rows.
        dtype: Dtype of the result, which is rounded once. The default, `None`, is that
            of `patches`.
        precision: Precision of the matrix product, one that `jax.lax.dot_general`
            takes.
        out_sharding: Sharding of the result, under a mesh with explicit axes. The
            default, `None`, combines that of the patches and that of the columns of
            the weight.

    Returns:
        One vector per patch. A patch of zeros gives the bias.

    Raises:
        ValueError: If a dtype is not a real float (scale integers first), the width of
            the patches is not the number of rows of `weight`, or the length of `bias`
            is not its number of columns.

    Example:
        >>> params = PatchEmbeddingParams(weight=jnp.ones((4, 2)), bias=None)
        >>> apply_patch_projection(params, jnp.ones((3, 4))).shape
        (3, 2)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1.
        https://arxiv.org/abs/2010.11929; for packed batches, Dehghani et al., Patch n'
        Pack: NaViT, 2023, section 2.1. https://arxiv.org/abs/2307.06304
    """
    check_precision(precision)
    check_out_sharding(out_sharding)
    check_patch_params(params, "params")
    patches = jnp.asarray(float_array("patches", patches, nan=False))
    own = patches.dtype
    dtype = own if dtype is None else result_dtype("dtype", dtype, own)
    x = embedded_patches(params, patches, dtype, precision, out_sharding)
    return x.astype(dtype)


def embedded_image(
    params, image, patch, rounded_to, precision, out_sharding, argument="params"
):
    """Returns the embedded patches of an image, see `embedded_patches`."""
    weight = params.weight
    channels, rest = divmod(weight.shape[0], math.prod(patch))
    if rest == 0:
        check_channels_last("image", image, len(patch), channels)
    patches = patches_of(image, patch)
    if patches.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"{argument}.weight.shape={weight.shape} must have {patches.shape[-1]} "
            f"rows for patch_size={patch} and {image.shape[-1]=}."
        )
    return embedded_patches(params, patches, rounded_to, precision, out_sharding)


def embedded_patches(
    params,
    patches,
    rounded_to,
    precision,
    out_sharding,
    arguments=("params", "patches"),
):
    """Returns embedded patches in the compute dtype; the caller rounds them.

    `params` are checked. `arguments` are the caller's names of them and the patches.
    """
    weight, bias = params
    if patches.shape[-1:] != weight.shape[:1]:
        raise ValueError(
            f"{arguments[1]}.shape={patches.shape} must end in {weight.shape[0]}, "
            f"the number of rows of {arguments[0]}.weight.shape={weight.shape}."
        )
    embedded = patch_product(patches, weight, rounded_to, precision, out_sharding)
    return embedded if bias is None else with_bias(embedded, bias)
