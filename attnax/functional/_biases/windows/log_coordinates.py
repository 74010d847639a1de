"""The coordinates of Swin v2: logarithms of the differences of places."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Float64

from ...._checks import choice, grid_sizes
from ...._public import public

FORMS = ("swin_v2", "cr")


@public
def log_coordinates(
    window: Sequence[SupportsIndex],
    *,
    pretrained_window: Sequence[SupportsIndex] | None = None,
    form: str = "swin_v2",
) -> Float64[np.ndarray, "row_differences column_differences 2"]:
    """Returns the coordinates of every difference of places of a window.

    The form `"swin_v2"` is `sign(x) * log2(1 + |x|) / 3` with `x = 8 * d / (n - 1)` for
    the difference `d`, query minus key, along an axis of `n` places; where `n` is 1,
    `x` is 0. The form `"cr"`, of timm's SwinV2-CR, is `sign(d) * ln(1 + |d|)`.

    Args:
        window: `(rows, columns)`, positive integers.
        pretrained_window: The window of the first training, whose sizes stand for `n`
            when a model goes on with another window. The default, `None`, is `window`.
            The form `"cr"` has none.
        form: `"swin_v2"` or `"cr"`.

    Returns:
        Coordinates in float64, `(2 * rows - 1, 2 * columns - 1, 2)`, from the most
        negative difference on.

    Raises:
        ValueError: If an argument is out of its range, or a pretrained window is given
            with the form `"cr"`.

    Example:
        >>> log_coordinates((1, 2))[0, :, 1].round(4).tolist()
        [-1.0566, 0.0, 1.0566]

    Reference:
        Liu et al., Swin Transformer V2, 2022, eq. 4, and its code for the factors 8 and
        1 / 3. https://arxiv.org/abs/2111.09883
    """
    window = grid_sizes("window", window)
    sides = pretrained_sides(pretrained_window, window, form)
    axes = [
        _coordinate(np.arange(1 - n, n), side)
        for n, side in zip(window, sides, strict=True)
    ]
    return np.stack(np.meshgrid(*axes, indexing="ij"), -1)


def pretrained_sides(pretrained_window, window, form):
    """The sides by which differences are divided, checked; `None` for no division."""
    choice("form", form, FORMS)
    if form == "cr":
        if pretrained_window is not None:
            raise ValueError(
                f"{pretrained_window=} must be None with form='cr', which does not "
                "divide by it."
            )
        return (None,) * len(window)
    if pretrained_window is None:
        return window
    return grid_sizes("pretrained_window", pretrained_window)


def _coordinate(difference, side):
    size = abs(difference)
    if side is None:
        return np.sign(difference) * np.log1p(size)
    # A window of one place has no difference beside 0.
    scaled = 8 * size / max(side - 1, 1)
    return np.sign(difference) * np.log2(1 + scaled) / 3
