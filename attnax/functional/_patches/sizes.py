"""Sizes of patches and images, and the order of the features of a patch."""

from jax.export import is_symbolic_dim

from ..._checks import any_array, is_integer

ORDERS = {2: ("HWC", "CHW"), 3: ("THWC", "CTHW")}  # by the number of axes of a patch


def as_pair(argument, size) -> tuple[int, int]:
    """Returns `(height, width)` of a size that may be one number; both positive."""
    pair = _sides(size)
    if len(pair) != 2:
        raise ValueError(
            f"{argument}={size!r} must be a positive integer or (height, width)."
        )
    return pair[0], pair[1]


def as_size(argument, size) -> tuple[int, ...]:
    """Returns `(height, width)` or `(frames, height, width)`; all are positive."""
    axes = _sides(size)
    if len(axes) not in ORDERS:
        raise ValueError(
            f"{argument}={size!r} must be a positive integer or (height, "
            "width), or for video (frames, height, width)."
        )
    return axes


def _sides(size) -> tuple[int, ...]:
    """Returns the sides, one number twice; `()` if one is not a positive integer."""
    sides = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if not sides or not all(map(is_integer, sides)) or min(sides) <= 0:
        return ()
    return tuple(int(side) for side in sides)


def image_axes(image, num_axes, argument="image") -> tuple[int, ...]:
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
            f"image_size={size} must be numbers, for the grid of patches "
            "is static; export a program for each size of images."
        )
    return as_size("image_size", size)


def channels_first(patch_order, num_axes) -> bool:
    """Returns whether `patch_order` puts channels first; `None` puts them last."""
    last, first = ORDERS[num_axes]
    known = patch_order is None or isinstance(patch_order, str)
    if not known or patch_order not in (None, last, first):
        raise ValueError(
            f"{patch_order=} must be '{last}' or '{first}' for patches of "
            f"{num_axes} axes."
        )
    return patch_order == first
