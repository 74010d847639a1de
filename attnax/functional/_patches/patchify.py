"""Cuts images and videos into patches, and joins patches to images again."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Array, Shaped

from ..._checks import (
    any_array,
    check_axes,
    check_not_sharded,
    integers,
    side_lengths,
)
from ..._public import public
from .blocks import cut, join
from .channels_last import axis_of_channels
from .patch_grid import grid_of_image, whole_patches

_UNSHARDED = "shard the batch, or use jax.reshard"


@public
def patchify(
    image: Shaped[Array | np.ndarray, "*batch_and_frames height width channels"],
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    *,
    patch_order: str | None = None,
) -> Shaped[Array | np.ndarray, "*batch num_patches patch_dim"]:
    """Cuts an image into patches, row by row.

    `unpatchify` is the exact inverse.

    Args:
        image: Image with channels last, `(*batch, height, width, channels)`, or video
            `(*batch, frames, height, width, channels)`. A JAX or a NumPy array.
        patch_size: Side of a patch in pixels, `(height, width)`, or for a video
            `(frames, height, width)`.
        patch_order: Order in which a patch is flattened: `"HWC"` (row, column, channel)
            or `"CHW"`, and for video `"THWC"` or `"CTHW"`. The default, `None`, puts
            channels last.

    Returns:
        Flattened patches, from left to right, top to bottom and first to last frame.
        They are the same kind of array as `image` with the same dtype, never a view.

    Raises:
        ValueError: If a size is not a positive integer, the image is not a multiple of
            the patch, `patch_order` does not fit the axes of the patch, or pixels or
            channels are sharded.

    Example:
        >>> patchify(jnp.arange(8).reshape(2, 4, 1), 2)
        Array([[0, 1, 4, 5],
               [2, 3, 6, 7]], dtype=int32)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929; for video, Arnab et al., ViViT, 2021, section
        3.2 (tubelets). https://arxiv.org/abs/2103.15691
    """
    return patches_of(image, side_lengths("patch_size", patch_size), patch_order)


def patches_of(image, patch, patch_order=None):
    """Returns what `patchify` returns, for sides of a patch that are checked."""
    grid = grid_of_image(image, patch)
    check_not_sharded("image", image, len(patch) + 1, _UNSHARDED)
    return cut(image, grid, patch, patch_order)


@public
def unpatchify(
    patches: Shaped[Array | np.ndarray, "*batch num_patches patch_dim"],
    image_size: SupportsIndex | Sequence[SupportsIndex],
    patch_size: SupportsIndex | Sequence[SupportsIndex] | None = None,
    *,
    patch_order: str | None = None,
) -> Shaped[Array | np.ndarray, "*batch_and_frames height width channels"]:
    """Returns the image that `patchify` cut into patches.

    Args:
        patches: Patches that `patchify` returns.
        image_size: Side of the image in pixels, `(height, width)`, or for a video
            `(frames, height, width)`. The whole shape is accepted too: `(*batch,
            height, width, channels)` or `(*batch, frames, height, width, channels)`.
        patch_size: Patch size that was given to `patchify`. It may be left out for
            square patches of images if `image_size` is a whole shape.
        patch_order: Order that was given to `patchify`.

    Returns:
        The image or video, channels last. It is the same kind of array as `patches`
        with the same dtype, never a view.

    Raises:
        ValueError: If the sizes do not fit the patches, `patch_order` does not
            fit the axes of the patch, or the patches are sharded along an axis other
            than the batch.

    Example:
        >>> image = jnp.arange(24).reshape(2, 4, 3)
        >>> bool((unpatchify(patchify(image, 2), (2, 4), 2) == image).all())
        True

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    any_array("patches", patches)
    check_axes("patches", patches, "num_patches", "patch_dim")
    num_patches, patch_dim = patches.shape[-2:]
    patch = None if patch_size is None else side_lengths("patch_size", patch_size)
    num_axes = 2 if patch is None else len(patch)
    channels = None
    if isinstance(image_size, tuple | list) and len(image_size) > num_axes:
        image_size = integers("image_size", image_size)
        _check_whole_shape(image_size, num_axes, patch_dim, patch)
        wanted, channels = image_size[: -num_axes - 1], image_size[-1]
        if wanted != patches.shape[:-2]:
            raise ValueError(
                f"{patches.shape=} must start with {wanted}, the batch of "
                f"{image_size=}."
            )
        image_size = image_size[-num_axes - 1 : -1]
    if patch is None:
        patch = _square_patch(patch_dim, channels)
    image_size = side_lengths("image_size", image_size)
    grid = whole_patches(f"{image_size=}", image_size, patch)
    inferred, remainder = divmod(patch_dim, math.prod(patch))
    if math.prod(grid) != num_patches or remainder or channels not in (None, inferred):
        raise ValueError(
            f"{patches.shape=} must be {math.prod(grid)} patches of "
            f"{' x '.join(map(str, patch))} pixels for {image_size=}."
        )
    check_not_sharded("patches", patches, 2, _UNSHARDED)
    return join(patches, grid, patch, patch_order)


def _check_whole_shape(shape, num_axes, patch_dim, patch):
    """Raises unless channels are last; without a patch size this is not known."""
    if patch is None:
        return
    area = math.prod(patch)
    if axis_of_channels(shape, num_axes, patch_dim // area) is not None:
        raise ValueError(
            f"image_size={shape} must be channels last, as the image "
            f"that comes out is, for patches of {patch_dim // area} channels."
        )


def _square_patch(patch_dim, channels):
    side = math.isqrt(patch_dim // channels) if channels and channels > 0 else 0
    if not side or side * side * (channels or 0) != patch_dim:
        raise ValueError(
            f"patch_size must be given for {patch_dim=} and {channels=}; it follows "
            "only from square patches and an image_size that is a whole shape."
        )
    return side, side
