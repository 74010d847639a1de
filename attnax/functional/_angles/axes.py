"""Rules of positions of several axes: which coordinate drives which pair."""

from ..._checks import integers, positive_integer


def checked_axes(axis_of_pair, num_axes, pairs) -> tuple[tuple[int, ...] | None, int]:
    """`(axis_of_pair, num_axes)` as ints; a `ValueError` unless they fit `pairs`.

    `num_axes=None` stands for as many axes as `axis_of_pair` names.
    """
    if num_axes is not None:
        num_axes = positive_integer("num_axes", num_axes)
    if axis_of_pair is None:
        if num_axes not in (None, 1):
            raise ValueError(
                f"{num_axes=} must come with axis_of_pair, which says what each axis "
                "drives."
            )
        return None, 1
    axis_of_pair = integers("axis_of_pair", axis_of_pair)
    if len(axis_of_pair) != pairs:
        raise ValueError(f"{len(axis_of_pair)=} must equal the {pairs} frequencies.")
    if num_axes is None:
        num_axes = max(axis_of_pair) + 1
    if min(axis_of_pair) < 0 or max(axis_of_pair) >= num_axes:
        raise ValueError(f"{axis_of_pair=} must lie in [0, {num_axes}).")
    return axis_of_pair, num_axes


def check_coordinates(argument, shape, num_axes) -> None:
    """A `ValueError` unless the last axis holds the coordinates of a position."""
    if shape[-1:] != (num_axes,):
        raise ValueError(
            f"{argument}.shape={shape} must end in the {num_axes} "
            "coordinates of a position; on text they are equal."
        )
