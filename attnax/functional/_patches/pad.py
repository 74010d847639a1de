"""Pads images to whole patches, and masks the padding."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from ..._checks import side_lengths
from ..._public import public
from .channels_last import check_channels_last
from .patch_grid import pixels_of, whole_patches


class PaddedImage(NamedTuple):
    """An image padded to whole patches, with masks that hold for the whole batch.

    Attributes:
        image: Image with zeros below and to the right; a video also has zeros after
            its last frame.
        pixel_mask: Bools that are True at real pixels.
        patch_mask: Bools that are True at patches with a real pixel, in the order of
            `patchify`.
    """

    image: Shaped[Array | np.ndarray, "*batch_and_frames height width channels"]
    pixel_mask: Bool[Array | np.ndarray, "*frames height width"]
    patch_mask: Bool[Array | np.ndarray, " num_patches"]


@public
def pad_image(
    image: Shaped[Array | np.ndarray, "*batch_and_frames height width channels"],
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    *,
    padded_size: SupportsIndex | Sequence[SupportsIndex] | None = None,
) -> PaddedImage:
    """Pads an image with zeros below and to the right, to whole patches.

    The embedding treats padding as pixels of value 0. A patch with real pixels and
    padding is embedded with both; a patch of padding alone gives the bias.

    Args:
        image: Image with channels last, `(*batch, height, width, channels)`, or video
            `(*batch, frames, height, width, channels)`. A JAX or a NumPy array.
        patch_size: Side of a patch in pixels, `(height, width)`, or for a video
            `(frames, height, width)`.
        padded_size: Size to pad to, with the axes of `patch_size`. Each size is a
            compilation, so a few sizes should serve all images. The default, `None`,
            is the next multiple of `patch_size`.

    Returns:
        The padded image and its masks. They are the same kind of array as `image`,
        never views. A JAX image that needs no padding is returned as it is.

    Raises:
        ValueError: If a size is not a positive integer, or `padded_size` is smaller
            than the image or not a multiple of `patch_size`. Without `padded_size`,
            also if padding is needed and the channels seem to come first: there are
            at most 4 rows or frames, and more columns and channels than that.

    Example:
        >>> padded = pad_image(jnp.ones((2, 3, 1)), 2, padded_size=(2, 6))
        >>> padded.image.shape, padded.patch_mask
        ((2, 6, 1), Array([ True,  True, False], dtype=bool))

    Reference:
        timm 1.0.31, `layers/patch_embed.py`, `PatchEmbed` with `dynamic_img_pad`.
        https://github.com/huggingface/pytorch-image-models
    """
    patch = side_lengths("patch_size", patch_size)
    size = pixels_of(image, len(patch))
    xp = np if isinstance(image, np.ndarray) else jnp
    padded = _padded_size(image, size, patch, padded_size)
    width = [(0, 0)] * (image.ndim - len(size) - 1)
    width += [(0, new - old) for old, new in zip(size, padded, strict=True)]
    if xp is np or size != padded:  # a NumPy array that is returned could be written to
        image = xp.pad(image, [*width, (0, 0)])
    pixels = _box(size, padded)
    starts = tuple(slice(None, None, side) for side in patch)
    # A patch is real where its first pixel is.
    patches = pixels[starts].reshape(-1)
    return PaddedImage(image, xp.asarray(pixels), xp.asarray(patches))


def _padded_size(image, size, patch, padded_size):
    whole = tuple(-(-n // side) * side for n, side in zip(size, patch, strict=True))
    if padded_size is None:
        if whole != size:
            otherwise = f"; if it is so already, pass padded_size={whole}"
            check_channels_last("image", image, len(size), otherwise=otherwise)
        return whole
    padded = side_lengths("padded_size", padded_size)
    same_axes = len(padded) == len(size)
    if not same_axes or any(new < n for n, new in zip(size, padded, strict=True)):
        check_channels_last("image", image, len(size))
        raise ValueError(
            f"{padded_size=} must be at least {size}, the size of the "
            "image; resize the image."
        )
    whole_patches(f"{padded_size=}", padded, patch, hint="")
    return padded


def _box(size, padded):
    """Returns an array of `padded` that is True in its first corner of `size`."""
    box = np.zeros(padded, np.bool_)
    box[tuple(slice(n) for n in size)] = True
    return box
