"""Positions of the patches of an image or video, from its grid."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int32, Integer

from ..._checks import grid_sizes, positive_integer
from ..._public import public

_MOST_AXES = 61  # a NumPy array has at most 64, and groups need three more


@public
def positions_from_grid(
    grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    *,
    merge_size: SupportsIndex = 1,
) -> Int32[np.ndarray, "num_patches {len(grid)}"]:
    """Coordinates of the patches of an image or video: one row per patch, row-major.

    Args:
        grid: Number of patches along each axis: `(rows, columns)`,
            `(frames, rows, columns)`, or more axes in front of these. All positive.
        merge_size: Side of the square groups in which the patches come, one group after
            another. Models with a patch merger need them in this order; Qwen2-VL has 2.
            It must divide the numbers of rows and columns.

    Returns:
        The coordinates of every patch, in the order of `grid`, as a NumPy array. They
        are positions for a rope with as many axes. For a model that counts from 1, add
        1 to them; in Llama 4 vision, the coordinates of the class token are 0.

    Raises:
        ValueError: If a size is not positive, `grid` does not have from 2 to 61 sizes,
            or `merge_size` does not divide the last two.

    Example:
        >>> positions_from_grid((2, 2)).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]

    Reference:
        Wang et al., Qwen2-VL, 2024, section 2.1. https://arxiv.org/abs/2409.12191
    """
    sizes = grid_sizes("grid", grid, most_axes=_MOST_AXES)
    merge_size = positive_integer("merge_size", merge_size)
    *frames, rows, columns = sizes
    if rows % merge_size or columns % merge_size:
        raise ValueError(
            f"{merge_size=} must divide the rows and the columns of grid={sizes}."
        )
    coordinates = np.moveaxis(np.indices(sizes, np.int32), 0, -1)
    groups = (rows // merge_size, merge_size, columns // merge_size, merge_size)
    coordinates = coordinates.reshape(*frames, *groups, len(sizes))
    return coordinates.swapaxes(-4, -3).reshape(-1, len(sizes))
