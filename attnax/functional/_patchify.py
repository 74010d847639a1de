"""Cutting images into patches, and putting them together again."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jaxtyping import Array, Shaped


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
        ValueError: If a size is not positive, the image is not a multiple of the patch,
            or its pixels or channels are sharded.

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
    _check_sharding("patchify", "image", image, 3)
    row_dim = patch_width * channels
    blocks = _reshape(image, 3, (rows, patch_height, columns, row_dim))
    swapped = _swap_grid_and_patch(blocks)
    return _reshape(swapped, 4, (rows * columns, patch_height * row_dim))


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
        ValueError: If the sizes do not fit the patches, or these are sharded otherwise
            than along the batch.

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
        *wanted, height, width, channels = image_size
        if tuple(wanted) != patches.shape[:-2]:
            raise ValueError(
                f"unpatchify: {patches.shape=} must start with {tuple(wanted)}, the "
                f"batch of {image_size=}."
            )
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
    _check_sharding("unpatchify", "patches", patches, 2)
    row_dim = patch_width * inferred
    blocks = _reshape(patches, 2, (rows, columns, patch_height, row_dim))
    return _reshape(_swap_grid_and_patch(blocks), 4, (*image_size, inferred))


def as_pair(function: str, name: str, size) -> tuple[int, int]:
    """`(height, width)` of a size that may be one number; both positive."""
    pair = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(pair) != 2 or min(pair) <= 0:
        raise ValueError(
            f"{function}: {name}={size} must be positive: a number or (height, width)."
        )
    return pair[0], pair[1]


def patch_grid(function, image_size, patch_size):
    """Rows and columns of patches; a `ValueError` unless they fill the image."""
    height, width = as_pair(function, "image_size", image_size)
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


def _check_sharding(function, name, array, num_axes):
    spec = jax.typeof(array).sharding.spec
    if any(axis is not None for axis in spec[-num_axes:]):
        raise ValueError(
            f"{function}: the last {num_axes} axes of {name} have {spec=}, but must "
            "not be sharded; shard the batch, or use jax.reshard."
        )


def _reshape(x, num_axes, shape):
    """Puts `shape` in place of the last `num_axes`; the batch keeps its sharding."""
    batch, sharding = x.shape[:-num_axes], jax.typeof(x).sharding
    out = None
    if sharding.mesh.explicit_axes:  # where JAX asks to be told
        spec = (*sharding.spec[: len(batch)], *(None for _ in shape))
        out = NamedSharding(sharding.mesh, PartitionSpec(*spec))
    return lax.reshape(x, (*batch, *shape), out_sharding=out)


def _square_patch(patch_dim, channels):
    side = math.isqrt(patch_dim // channels) if channels else 0
    if channels is None or side * side * channels != patch_dim:
        raise ValueError(
            f"unpatchify: patch_size must be given for {patch_dim=} and {channels=}."
        )
    return side
