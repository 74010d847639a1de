"""The rope of an image or video: a progression of frequencies for each axis."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Integer

from ..._checks import (
    check_flags,
    integers,
    permutation,
    positive_integer,
)
from ..._public import public
from .frequencies import exact_geometric
from .record import Rope


@public
def axial_rope(
    dims: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    base: SupportsFloat = 10_000.0,
    *,
    axis_order: Sequence[SupportsIndex]
    | Integer[np.ndarray, " num_axes"]
    | None = None,
    alternate: bool = False,
    shared: bool = False,
    layout: str = "half",
    num_blocks: SupportsIndex = 1,
) -> Rope:
    """A rope for images and videos, with a progression of frequencies for each axis.

    Positions are (row, column) for two axes and (time, row, column) for three, as
    `positions_from_grid` returns them.

    Args:
        dims: Number of channels that each axis turns. Positive and even.
        base: Base of every progression. Positive and finite.
        axis_order: The axes in the order in which their pairs follow each other in the
            head. `None` stands for `(0, 1, ...)`, the row before the column; `(1, 0)`
            puts the column first.
        alternate: True takes one pair of each axis in turn, False all pairs of one axis
            and then all of the next. True needs equal `dims`.
        shared: True makes one progression over all channels and gives its frequencies
            to the axes in turn (in Pixtral, rows have the even frequencies and columns
            the odd ones). It needs equal `dims`.
        layout: The channels that form a pair, see `Rope`.
        num_blocks: 1, or the number of axes, to pair channels within each axis, see
            `Rope`. The latter needs equal `dims`.

    Returns:
        A rope for positions whose last axis holds `len(dims)` coordinates.

    Raises:
        ValueError: If `dims` is empty, or one is not positive and even; if they differ
            where they must be equal; if `base` is not positive and finite, or gives
            frequencies of 2**64 or more; if `axis_order` does not name every axis once;
            or if `num_blocks` is another number.

    Example:
        >>> axial_rope((4, 4)).axis_of_pair
        (0, 0, 1, 1)
        >>> axial_rope((4, 4), axis_order=(1, 0), alternate=True).axis_of_pair
        (1, 0, 1, 0)

    Reference:
        Heo et al., Rotary Position Embedding for Vision Transformer, 2024, section 3.2.
        https://arxiv.org/abs/2403.13298; Agrawal et al., Pixtral 12B, 2024, section 2.
        https://arxiv.org/abs/2410.07073
    """
    dims = integers("dims", dims)
    count = len(dims)
    if count == 0 or not all(d > 0 and d % 2 == 0 for d in dims):
        raise ValueError(f"{dims=} must be one or more positive even numbers.")
    axis_order = permutation(
        "axis_order", range(count) if axis_order is None else axis_order, count
    )
    check_flags(alternate=alternate, shared=shared)
    num_blocks = positive_integer("num_blocks", num_blocks)
    if num_blocks not in (1, count):
        raise ValueError(f"{num_blocks=} must be 1 or the {count} axes.")
    if (alternate or shared or num_blocks > 1) and len(set(dims)) != 1:
        raise ValueError(
            f"{dims=} must be equal for {alternate=}, {shared=}, {num_blocks=}."
        )
    if shared:
        per_axis = _shared(dims, base)
    else:
        per_axis = [exact_geometric(d, base) for d in dims]
    parts = [per_axis[axis] for axis in axis_order]
    axes = [
        np.full(part.size, axis) for part, axis in zip(parts, axis_order, strict=True)
    ]
    if alternate:
        inv_freq, axis_of_pair = np.stack(parts, 1).ravel(), np.stack(axes, 1).ravel()
    else:
        inv_freq, axis_of_pair = np.concatenate(parts), np.concatenate(axes)
    return Rope(
        inv_freq, layout, axis_of_pair=axis_of_pair.tolist(), num_blocks=num_blocks
    )


def _shared(dims, base):
    """One progression over all channels, dealt out to the axes in turn."""
    whole = exact_geometric(sum(dims), base)
    return [whole[axis :: len(dims)] for axis in range(len(dims))]
