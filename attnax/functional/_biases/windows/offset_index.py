"""Rows of tables by the sizes of differences of places."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int32

from ...._checks import grid_sizes, positive_integer
from ...._public import public


@public
def offset_index(
    window: Sequence[SupportsIndex], *, stride: SupportsIndex = 1
) -> Int32[np.ndarray, "queries keys"]:
    """Returns the row of an offset table for every pair of a query and a key.

    The row of a pair is `rows between them * columns + columns between them`, both
    without a sign, so a table has a row for each place of the window. The places are
    numbered row by row.

    Args:
        window: `(rows, columns)` of the keys, positive integers.
        stride: Distance of the rows and columns of queries: with 2, the places
            `(0, 0), (0, 2), ...` ask. Positive.

    Returns:
        Row numbers, int32, one line for each query.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> offset_index((2, 3), stride=2).tolist()
        [[0, 1, 2, 3, 4, 5], [2, 1, 0, 5, 4, 3]]

    Reference:
        Graham et al., LeViT, 2021, section 4.2, eq. 1.
        https://arxiv.org/abs/2104.01136
    """
    window = grid_sizes("window", window)
    stride = positive_integer("stride", stride)
    places = np.indices(window)
    queries = places[:, ::stride, ::stride].reshape(2, -1)
    rows, columns = abs(queries[:, :, None] - places.reshape(2, 1, -1))
    return np.asarray(rows * window[1] + columns, np.int32)
