"""The grid of patches of an image."""

from collections.abc import Sequence
from typing import SupportsIndex

from ..._public import public
from .sizes import as_size


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
    image = as_size("image_size", image_size)
    patch = as_size("patch_size", patch_size)
    if len(image) != len(patch):
        raise ValueError(
            f"{image_size=} must have the axes of {patch_size=}: (height, "
            "width), or for video (frames, height, width)."
        )
    if any(pixels % side != 0 for pixels, side in zip(image, patch, strict=True)):
        raise ValueError(
            f"{image_size=} must be a multiple of {patch_size=}; pad or "
            "resize the image."
        )
    return tuple(pixels // side for pixels, side in zip(image, patch, strict=True))
