"""Patch embedding: an image as a sequence of linearly embedded patches."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from .._dtypes import compute_dtype, default_float_dtype, float_dtype


class PatchEmbeddingParams(NamedTuple):
    """Parameters of a patch embedding.

    Attributes:
        weight: One row per feature of a patch, in (row, column, channel) order.
        bias: Added to every patch, or `None`.
    """

    weight: Float[Array, "patch_dim d_model"]
    bias: Float[Array, " d_model"] | None


def patchify(
    image: Shaped[Array, "*batch height width channels"],
    patch_size: int | tuple[int, int],
) -> Shaped[Array, "*batch num_patches patch_dim"]:
    """Cuts an image into patches, row by row; `unpatchify` is its exact inverse.

    Args:
        image: Channels last.
        patch_size: Side of a patch in pixels, or `(height, width)`.

    Returns:
        Patches from left to right and top to bottom, each flattened in (row, column,
        channel) order. The dtype of `image`.

    Raises:
        ValueError: If the image is not a multiple of the patch.

    Example:
        >>> patchify(jnp.arange(8).reshape(2, 4, 1), 2)
        Array([[0, 1, 4, 5],
               [2, 3, 6, 7]], dtype=int32)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    if image.ndim < 3:
        raise ValueError(
            f"patchify: {image.shape=} must be (..., height, width, channels)."
        )
    height, width, channels = image.shape[-3:]
    rows, columns = patch_grid("patchify", (height, width), patch_size)
    patch_height, patch_width = as_pair("patchify", "patch_size", patch_size)
    row_dim = patch_width * channels
    keep = _batch_sharding("patchify", "image", image, 3)
    blocks = keep(image, (rows, patch_height, columns, row_dim))
    patch_dim = patch_height * row_dim
    return keep(_swap_grid_and_patch(blocks), (rows * columns, patch_dim))


def unpatchify(
    patches: Shaped[Array, "*batch num_patches patch_dim"],
    image_size: int | tuple[int, ...],
    patch_size: int | tuple[int, int] | None = None,
) -> Shaped[Array, "*batch height width channels"]:
    """Puts the patches of `patchify` together again.

    Args:
        patches: As `patchify` returns them.
        image_size: Side of the image in pixels, `(height, width)`, or the whole shape
            `(*batch, height, width, channels)`.
        patch_size: Side of a patch in pixels, or `(height, width)`. It may be left out
            for square patches if `image_size` is a whole shape.

    Returns:
        The image, channels last.

    Raises:
        ValueError: If the sizes do not fit the patches.

    Example:
        >>> image = jnp.arange(24).reshape(2, 4, 3)
        >>> bool((unpatchify(patchify(image, 2), (2, 4), 2) == image).all())
        True

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    if patches.ndim < 2:
        raise ValueError(f"unpatchify: {patches.shape=} must be (..., patches, dim).")
    num_patches, patch_dim = patches.shape[-2:]
    channels = None
    if isinstance(image_size, tuple) and len(image_size) > 2:
        *_, height, width, channels = image_size
        image_size = (height, width)
    if patch_size is None:
        patch_size = _square_patch(patch_dim, channels)
    image_size = as_pair("unpatchify", "image_size", image_size)
    patch_height, patch_width = as_pair("unpatchify", "patch_size", patch_size)
    rows, columns = patch_grid("unpatchify", image_size, patch_size)
    inferred, remainder = divmod(patch_dim, patch_height * patch_width)
    if rows * columns != num_patches or remainder or channels not in (None, inferred):
        raise ValueError(
            f"unpatchify: {patches.shape=} must be {rows * columns} patches of "
            f"{patch_height} x {patch_width} pixels for {image_size=}."
        )
    keep = _batch_sharding("unpatchify", "patches", patches, 2)
    blocks = keep(patches, (rows, columns, patch_height, patch_width * inferred))
    return keep(_swap_grid_and_patch(blocks), (*image_size, inferred))


def init_patch_embedding(
    key: PRNGKeyArray,
    *,
    patch_size: int | tuple[int, int],
    num_channels: int,
    d_model: int,
    use_bias: bool = True,
    dtype: DTypeLike | None = None,
) -> PatchEmbeddingParams:
    """Draws a patch embedding: LeCun-normal weight, zero bias.

    Args:
        key: A JAX random key.
        patch_size: Side of a patch in pixels, or `(height, width)`.
        num_channels: Channels of the image. Positive.
        d_model: Width of the embedding. Positive.
        use_bias: Whether there is a bias.
        dtype: Of the parameters, which are drawn in float32 and rounded once. `None` is
            JAX's default float.

    Returns:
        Parameters with a `weight` of `(patch height * width * channels, d_model)`,
        normal with variance `1 / rows`, cut at two deviations.

    Raises:
        ValueError: If a size is not positive, or `dtype` not a real float.

    Example:
        >>> key = jax.random.key(0)
        >>> sizes = dict(patch_size=4, num_channels=3, d_model=8)
        >>> init_patch_embedding(key, **sizes).weight.shape
        (48, 8)

    Reference:
        LeCun et al., Efficient BackProp, 1998, section 4.6; Dosovitskiy et al., 2021,
        section 3.1. https://arxiv.org/abs/2010.11929
    """
    name = "init_patch_embedding"
    height, width = as_pair(name, "patch_size", patch_size)
    for size_name, size in (("num_channels", num_channels), ("d_model", d_model)):
        if size <= 0:
            raise ValueError(f"{name}: {size_name}={size} must be positive.")
    dtype = default_float_dtype() if dtype is None else dtype
    dtype = float_dtype(name, "dtype", dtype)
    draw = jax.nn.initializers.lecun_normal()
    shape = (height * width * num_channels, d_model)
    weight = draw(key, shape, compute_dtype(dtype)).astype(dtype)
    bias = jnp.zeros((d_model,), dtype) if use_bias else None
    return PatchEmbeddingParams(weight=weight, bias=bias)


def apply_patch_embedding(
    params: PatchEmbeddingParams,
    image: Float[Array, "*batch height width channels"],
    *,
    patch_size: int | tuple[int, int],
    precision: lax.PrecisionLike = None,
) -> Float[Array, "*batch num_patches d_model"]:
    """Embeds patches: what a convolution with kernel = stride = `patch_size` computes.

    One matrix product of the patches with the weight, added up in float32. Operands of
    different dtypes are widened, never narrowed.

    Args:
        params: `weight` and `bias`.
        image: Channels last; any size that `patch_size` divides.
        patch_size: Side of a patch in pixels, or `(height, width)`.
        precision: Of the matrix product, as in `jax.lax.dot_general`.

    Returns:
        One vector per patch, row by row, in the dtype of `image`, rounded once.

    Raises:
        ValueError: If the image is not a multiple of the patch, or the weight is not
            for patches of this size and number of channels.

    Example:
        >>> params = PatchEmbeddingParams(weight=jnp.ones((4, 2)), bias=None)
        >>> apply_patch_embedding(params, jnp.ones((2, 4, 1)), patch_size=2)
        Array([[4., 4.],
               [4., 4.]], dtype=float32)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1.
        https://arxiv.org/abs/2010.11929
    """
    name, weight = "apply_patch_embedding", params.weight
    patches = patchify(image, patch_size)
    if patches.shape[-1] != weight.shape[0]:
        raise ValueError(
            f"{name}: {weight.shape=} must have {patches.shape[-1]} rows for "
            f"{patch_size=} and {image.shape[-1]} channels."
        )
    wide = compute_dtype(image.dtype, weight.dtype)
    operand = image.dtype if image.dtype == weight.dtype else wide
    embedded = jnp.einsum(
        "...p,pd->...d",
        patches.astype(operand),
        weight.astype(operand),
        preferred_element_type=wide,
        precision=precision,
    )
    if params.bias is not None:
        bias = params.bias.astype(wide)
        embedded = embedded + bias.reshape((1,) * (embedded.ndim - 1) + bias.shape)
    return embedded.astype(image.dtype)


def as_pair(function, name, size):
    """`(height, width)` of a size that may be one number; both positive."""
    pair = size if isinstance(size, tuple) else (size, size)
    if len(pair) != 2 or min(pair) <= 0:
        raise ValueError(
            f"{function}: {name}={size} must be positive: a number or (height, width)."
        )
    return pair


def patch_grid(function, image_size, patch_size):
    """Rows and columns of patches; a `ValueError` unless they fill the image."""
    height, width = image_size
    patch_height, patch_width = as_pair(function, "patch_size", patch_size)
    if height % patch_height != 0 or width % patch_width != 0:
        raise ValueError(
            f"{function}: {image_size=} must be a multiple of {patch_size=}; pad or "
            "resize the image."
        )
    return height // patch_height, width // patch_width


def _swap_grid_and_patch(blocks):
    """Its own inverse: exchanges columns of patches and rows of pixels."""
    # Pixels and channels stay one axis: as two, jax 0.12 takes four times as long.
    return jnp.swapaxes(blocks, -3, -2)


def _batch_sharding(function, name, array, num_axes):
    """A reshape of the axes after the batch, which keeps the sharding of the batch."""
    batch, sharding = array.shape[:-num_axes], jax.typeof(array).sharding
    if any(axis is not None for axis in sharding.spec[len(batch) :]):
        raise ValueError(
            f"{function}: the last {num_axes} axes of {name} have {sharding.spec=}, "
            "but must not be sharded; shard the batch, or use jax.reshard."
        )
    if not sharding.mesh.explicit_axes:
        return lambda x, shape: x.reshape(*batch, *shape)
    spec = sharding.spec[: len(batch)]

    def keep(x, shape):
        out = NamedSharding(sharding.mesh, PartitionSpec(*spec, *(None for _ in shape)))
        return lax.reshape(x, (*batch, *shape), out_sharding=out)

    return keep


def _square_patch(patch_dim, channels):
    side = math.isqrt(patch_dim // channels) if channels else 0
    if channels is None or side * side * channels != patch_dim:
        raise ValueError(
            f"unpatchify: patch_size must be given for {patch_dim=} and {channels=}."
        )
    return side
