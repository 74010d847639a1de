"""The size of an image that has at most a given number of patches."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

from ..._checks import positive_integer, side_lengths
from ..._public import public


@public
def image_size_for_max_patches(
    image_size: SupportsIndex | Sequence[SupportsIndex],
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    max_patches: SupportsIndex,
) -> tuple[int, int]:
    """Returns the size at which an image has at most `max_patches` patches.

    `size = ceil(scale * image_size / patch_size) * patch_size` with the largest `scale`
    that fits, up to 100 and to within 1e-5. The bisection that finds it is that of
    SigLIP 2. The aspect ratio is kept to within a patch.

    Args:
        image_size: Side of the image in pixels, or `(height, width)`.
        patch_size: Side of a patch in pixels, or `(height, width)`.
        max_patches: Largest number of patches. Positive.

    Returns:
        `(height, width)`, each a multiple of the side of a patch.

    Raises:
        ValueError: If a size or `max_patches` is not a positive integer.

    Example:
        >>> image_size_for_max_patches((480, 640), 16, 256)
        (224, 288)

    Reference:
        transformers 5.23.0, `models/siglip2/image_processing_siglip2.py`,
        `get_image_size_for_max_num_patches`; Tschannen et al., SigLIP 2, 2025, section
        2.4.2. https://arxiv.org/abs/2502.14786
    """
    image = side_lengths("image_size", image_size, most_axes=2)
    patch = side_lengths("patch_size", patch_size, most_axes=2)
    max_patches = positive_integer("max_patches", max_patches)

    def grid(scale):
        # Scaled first, as there: the order decides where a ceiling jumps.
        sides = zip(image, patch, strict=True)
        return [math.ceil(pixels * scale / side) for pixels, side in sides]

    lower, upper = 1e-5 / 10, 100.0
    while upper - lower >= 1e-5:
        scale = (lower + upper) / 2
        if math.prod(grid(scale)) <= max_patches:
            lower = scale
        else:
            upper = scale
    rows, columns = grid(lower)
    return rows * patch[0], columns * patch[1]
