"""The grid of patches of an image, and the rule that patches fill the image."""

from collections.abc import Sequence
from typing import SupportsIndex

from jax.export import is_symbolic_dim

from ..._checks import any_array, side_lengths
from ..._public import public
from .channels_last import check_channels_last


@public
def patch_grid(
    image_size: SupportsIndex | Sequence[SupportsIndex],
    patch_size: SupportsIndex | Sequence[SupportsIndex],
) -> tuple[int, ...]:
    """Returns how many patches an image has along each axis.

    Args:
        image_size: Side of the image in pixels, `(height, width)`, or for a video
            `(frames, height, width)`.
        patch_size: Side of a patch in pixels, with the same axes.

    Returns:
        `(rows, columns)`, or for a video `(frames, rows, columns)`.

    Raises:
        ValueError: If a size is not a positive integer, the two have different axes, or
            the patches do not fill the image.

    Example:
        >>> patch_grid((224, 336), 14)
        (16, 24)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    size = side_lengths("image_size", image_size)
    patch = side_lengths("patch_size", patch_size)
    return whole_patches(f"{image_size=}", size, patch)


def whole_patches(described, size, patch, hint="; pad or resize the image"):
    """Returns the number of patches along each axis; raises unless they fill `size`.

    `described` is the caller's name for `size` with its value, and `hint` the way out.
    """
    if len(size) != len(patch):
        raise ValueError(
            f"{described} must have the axes of patch_size={patch}: (height, width), "
            "or for video (frames, height, width)."
        )
    if any(pixels % side for pixels, side in zip(size, patch, strict=True)):
        frames = "frames, " if len(patch) > 2 else ""
        raise ValueError(
            f"{described} must be a multiple of patch_size={patch} in {frames}height "
            f"and width{hint}."
        )
    return tuple(pixels // side for pixels, side in zip(size, patch, strict=True))


def grid_of_image(image, patch, argument="image") -> tuple[int, ...]:
    """Returns the grid of patches of an array `(..., height, width, channels)`."""
    size = pixels_of(image, len(patch), argument)
    if any(pixels % side for pixels, side in zip(size, patch, strict=True)):
        check_channels_last(argument, image, len(patch))
    return whole_patches(f"{argument}.shape={image.shape}", size, patch)


def pixels_of(image, num_axes, argument="image") -> tuple[int, ...]:
    """Returns the size in pixels of an array `(..., height, width, channels)`."""
    any_array(argument, image)
    size = image.shape[-num_axes - 1 : -1]
    if image.ndim <= num_axes or 0 in size:
        axes = "height, width" if num_axes == 2 else "frames, height, width"
        raise ValueError(
            f"{argument}.shape={image.shape} must be (..., {axes}, channels), of one "
            "pixel or more."
        )
    if any(map(is_symbolic_dim, size)):
        raise ValueError(
            f"{argument}.shape={image.shape} must have a fixed number of pixels, "
            "because the grid of patches is static; export a program for each size."
        )
    return size
