"""Images padded to whole patches, with masks of what is real."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Shaped

from ..._public import public
from .channels_last import check_channels_last
from .sizes import as_size, image_axes


class PaddedImage(NamedTuple):
    """An image padded to whole patches. The masks hold for the whole batch.

    Attributes:
        image: With zeros below and to the right; of a video, after its last frame too.
        pixel_mask: Which pixels are real.
        patch_mask: Which patches hold a real pixel, in the order of `patchify`.
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

    Padding is pixels of value 0 to the embedding: a patch that holds real pixels beside
    padding is embedded with both, and one of padding alone gives the bias.

    Args:
        image: Channels last: `(*batch, height, width, channels)`, or a video `(*batch,
            frames, height, width, channels)`. A JAX or a NumPy array.
        patch_size: Side of a patch in pixels, `(height, width)`, or for a video
            `(frames, height, width)`.
        padded_size: The size to pad to, likewise. A few of them, shared by all images,
            mean a few compilations. `None` is the next multiple of `patch_size`.

    Returns:
        The padded image and its masks: the same kind of arrays, never a view. A JAX
        image that is full already comes back as it is.

    Raises:
        ValueError: If a size is not a positive integer, `padded_size` is below that of
            the image or not a multiple of `patch_size`, or it is `None` and the image
            looks as if its channels came first: at most 4 rows, or frames, of more
            columns and channels, which whole patches would fill up.

    Example:
        >>> padded = pad_image(jnp.ones((2, 3, 1)), 2, padded_size=(2, 6))
        >>> padded.image.shape, padded.patch_mask
        ((2, 6, 1), Array([ True,  True, False], dtype=bool))

    Reference:
        timm 1.0.31, `layers/patch_embed.py`, `PatchEmbed` with `dynamic_img_pad`.
        https://github.com/huggingface/pytorch-image-models
    """
    patch = as_size("patch_size", patch_size)
    size = image_axes(image, len(patch))
    xp = np if isinstance(image, np.ndarray) else jnp
    padded = _padded_size(image, size, patch, padded_size)
    width = [(0, 0)] * (image.ndim - len(size) - 1)
    width += [(0, new - old) for old, new in zip(size, padded, strict=True)]
    if xp is np or size != padded:  # a NumPy array that came back could be written to
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
    padded = as_size("padded_size", padded_size)
    same_axes = len(padded) == len(size)
    if not same_axes or any(new < n for n, new in zip(size, padded, strict=True)):
        check_channels_last("image", image, len(size))
        raise ValueError(
            f"{padded_size=} must be at least {size}, the size of the "
            "image; resize the image."
        )
    if any(new % side for new, side in zip(padded, patch, strict=True)):
        raise ValueError(f"{padded_size=} must be a multiple of patch_size={patch}.")
    return padded


def _box(size, padded):
    """True in the corner of that size."""
    box = np.zeros(padded, np.bool_)
    box[tuple(slice(n) for n in size)] = True
    return box
