"""Images whose channels stand in front of the pixels, and what to say of them."""

import numpy as np

# How many channels pictures have, from the most usual on.
_COUNTS = (3, 1, 4, 2)


def check_channels_last(argument, image, num_axes, channels=None, otherwise=""):
    """A `ValueError` if channels seem to stand in front of the `num_axes` of pixels.

    For images that do not fit, whose errors would speak of rows that are channels.
    `channels` is how many there must be, if that is known, `argument` what the
    caller calls the image, and `otherwise` what to do if it has its channels last.
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
    """The axis, from the end, that looks like channels where pixels should be.

    Without a number of `channels` that is one of at most 4, where the last two are
    longer.
    """
    if len(shape) <= num_axes or not all(isinstance(n, int) for n in shape[-4:]):
        return None
    # Before the rows of an image; of a video before or after its frames.
    axes = [axis for axis in (-3, -4) if axis >= -num_axes - 1]
    if channels is not None:
        found = [axis for axis in axes if shape[axis] == channels != shape[-1]]
        return found[0] if found else None
    if min(shape[-2:]) <= max(_COUNTS):
        return None
    found = [axis for axis in axes if shape[axis] in _COUNTS]
    return min(found, key=lambda axis: _COUNTS.index(shape[axis]), default=None)
