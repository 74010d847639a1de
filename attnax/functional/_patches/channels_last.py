"""Detects images whose channels come before the pixels, and reports them."""

import numpy as np

# Numbers of channels that images have, the most common first.
_COUNTS = (3, 1, 4, 2)


def check_channels_last(argument, image, num_axes, channels=None, otherwise=""):
    """Raises `ValueError` if channels seem to come before the `num_axes` of pixels.

    Call it for images that do not fit, whose errors would take channels for rows.

    `channels` is the number of channels, if it is known. `argument` is the caller's
    name for the image. `otherwise` says what to do if the channels are last already.
    """
    axis = axis_of_channels(image.shape, num_axes, channels)
    if axis is None:
        return
    pixels = "height, width" if num_axes == 2 else "frames, height, width"
    library = "np" if isinstance(image, np.ndarray) else "jnp"
    mended = f"{library}.moveaxis({argument}, {axis}, -1)"
    raise ValueError(
        f"{argument}.shape={image.shape} must be channels last, (..., "
        f"{pixels}, channels); {mended} makes it so{otherwise}."
    )


def axis_of_channels(shape, num_axes, channels=None) -> int | None:
    """Returns the axis, counted from the end, that looks like misplaced channels.

    If `channels` is `None`, an axis of at most 4 counts as channels, provided that
    the last two axes are longer.
    """
    if len(shape) <= num_axes or not all(isinstance(n, int) for n in shape[-4:]):
        return None
    # In an image before the rows; in a video before or after the frames.
    axes = [axis for axis in (-3, -4) if axis >= -num_axes - 1]
    if channels is not None:
        found = [axis for axis in axes if shape[axis] == channels != shape[-1]]
        return found[0] if found else None
    if min(shape[-2:]) <= max(_COUNTS):
        return None
    found = [axis for axis in axes if shape[axis] in _COUNTS]
    return min(found, key=lambda axis: _COUNTS.index(shape[axis]), default=None)
