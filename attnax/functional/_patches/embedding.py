"""Patch embedding: turns an image into a sequence of linearly embedded patches."""

import math
from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._checks import (
    check_flags,
    check_key,
    check_out_sharding,
    check_params,
    check_precision,
    float_array,
    positive_integer,
)
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from ..._sharding import sharding_beside, spread
from .channels_last import check_channels_last
from .patchify import patches_of
from .product import patch_product
from .sizes import as_size


class PatchEmbeddingParams(NamedTuple):
    """Parameters of a patch embedding.

    Attributes:
        weight: One row per feature of a patch, in (row, column, channel) order, or for
            video in (frame, row, column, channel) order.
        bias: Vector that is added to every patch, or `None`.
    """

    weight: Float[Array, "patch_dim d_model"]
    bias: Float[Array, " d_model"] | None


@public
def init_patch_embedding(
    key: PRNGKeyArray,
    *,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    num_channels: SupportsIndex,
    d_model: SupportsIndex,
    use_bias: bool = True,
    dtype: DTypeLike | None = None,
) -> PatchEmbeddingParams:
    """Draws a patch embedding with a LeCun-normal weight and a zero bias.

    Args:
        key: A JAX random key.
        patch_size: Side of a patch in pixels, `(height, width)`, or for video
            `(frames, height, width)`.
        num_channels: Channels of the image. Positive.
        d_model: Width of the embedding. Positive.
        use_bias: Whether there is a bias.
        dtype: Dtype of the parameters, which are drawn in float32 or wider and rounded
            once. The default, `None`, is JAX's default float.

    Returns:
        Parameters with a `weight` of `(product of patch_size * channels, d_model)`. It
        is drawn from a normal distribution truncated at two standard deviations, with
        variance `1 / rows`.

    Raises:
        ValueError: If `key` is not one random key, a size is not positive, or `dtype`
            is not a real float.

    Example:
        >>> key = jax.random.key(0)
        >>> sizes = dict(patch_size=4, num_channels=3, d_model=8)
        >>> init_patch_embedding(key, **sizes).weight.shape
        (48, 8)

    Reference:
        LeCun et al., Efficient BackProp, 1998, section 4.6; Dosovitskiy et al., 2021,
        section 3.1. https://arxiv.org/abs/2010.11929
    """
    check_key(key)
    size = as_size("patch_size", patch_size)
    num_channels = positive_integer("num_channels", num_channels)
    d_model = positive_integer("d_model", d_model)
    check_flags(use_bias=use_bias)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    draw = jax.nn.initializers.lecun_normal()
    shape = (math.prod(size) * num_channels, d_model)
    weight = draw(key, shape, compute_dtype(dtype)).astype(dtype)
    bias = jnp.zeros((d_model,), dtype) if use_bias else None
    return PatchEmbeddingParams(weight=weight, bias=bias)


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
    image = jnp.asarray(float_array("image", image, nan=False))
    own = image.dtype
    dtype = own if dtype is None else result_dtype("dtype", dtype, own)
    x = embedded_image(params, image, patch_size, dtype, precision, out_sharding)
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
    patches = jnp.asarray(float_array("patches", patches, nan=False))
    own = patches.dtype
    dtype = own if dtype is None else result_dtype("dtype", dtype, own)
    x = embedded_patches(params, patches, dtype, precision, out_sharding)
    return x.astype(dtype)


def embedded_image(
    params, image, patch_size, rounded_to, precision, out_sharding, argument="params"
):
    """Returns the embedded patches of an image, see `embedded_patches`."""
    check_params(params, PatchEmbeddingParams, argument)
    weight = float_array(f"{argument}.weight", params.weight, nan=False)
    size = as_size("patch_size", patch_size)
    channels, rest = divmod(math.prod(weight.shape[:1]), math.prod(size))
    if rest == 0:
        check_channels_last("image", image, len(size), channels)
    patches = patches_of(image, patch_size)
    if patches.shape[-1:] != weight.shape[:1]:
        raise ValueError(
            f"{argument}.weight.shape={weight.shape} must have {patches.shape[-1]} "
            f"rows for {patch_size=} and {image.shape[-1]} channels."
        )
    return embedded_patches(
        params, patches, rounded_to, precision, out_sharding, (argument, "image")
    )


def embedded_patches(
    params,
    patches,
    rounded_to,
    precision,
    out_sharding,
    arguments=("params", "patches"),
):
    """Returns embedded patches in the compute dtype; the caller rounds them."""
    argument, patches_argument = arguments
    check_params(params, PatchEmbeddingParams, argument)
    weight, bias = params
    float_array(f"{argument}.weight", weight, nan=False)
    if bias is not None:
        float_array(f"{argument}.bias", bias, nan=False)
    weight_shape = f"{argument}.weight.shape={weight.shape}"
    if weight.ndim != 2:
        raise ValueError(f"{weight_shape} must have two axes.")
    if patches.shape[-1:] != weight.shape[:1]:
        raise ValueError(
            f"{patches_argument}.shape={patches.shape} must end in "
            f"{weight.shape[0]}, the number of rows of {weight_shape}."
        )
    embedded = patch_product(patches, weight, rounded_to, precision, out_sharding)
    if bias is None:
        return embedded
    if bias.shape != weight.shape[1:]:
        raise ValueError(
            f"{argument}.bias.shape={bias.shape} must be that of a row of "
            f"{weight_shape}."
        )
    wide = compute_dtype(embedded.dtype, bias.dtype)
    bias = spread(bias, sharding_beside(embedded, ()))
    bias = bias.astype(wide).reshape((1,) * (embedded.ndim - 1) + bias.shape)
    return embedded.astype(wide) + bias
