"""Rows of window tables: the index of every pair of places of a window."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Int32

from ...._checks import grid_sizes, integer
from ...._public import public
from .places import numbers_of_places, rows_of_pairs


@public
def window_index(
    window: Sequence[SupportsIndex], *, num_prefix_tokens: SupportsIndex = 0
) -> Int32[np.ndarray, "tokens tokens"]:
    """Returns the row of a window table for every pair of a query and a key.

    The places of a window of `(rows, columns)` are numbered row by row. A table has
    `(2 * rows - 1) * (2 * columns - 1)` rows, one for each difference of two places,
    query minus key, numbered row by row from the most negative one on. A window of
    `(frames, rows, columns)` has one axis more.

    Prefix tokens, such as the class token of BEiT, have three further rows together:
    the first for a prefix token and a patch, then for a patch and a prefix token, then
    for two prefix tokens.

    Args:
        window: `(rows, columns)` or `(frames, rows, columns)`, positive integers.
        num_prefix_tokens: Number of tokens in front of the window. Not negative.

    Returns:
        Row numbers, int32, one line for each query.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> window_index((1, 3)).tolist()
        [[2, 1, 0], [3, 2, 1], [4, 3, 2]]

    Reference:
        Liu et al., Swin Transformer, 2021, section 3.2, and
        `define_relative_position_index` of its code. https://arxiv.org/abs/2103.14030;
        Bao et al., BEiT, 2022, `gen_relative_position_index`.
        https://arxiv.org/abs/2106.08254
    """
    window = grid_sizes("window", window, most_axes=3)
    prefix = integer("num_prefix_tokens", num_prefix_tokens, 0)
    numbers = numbers_of_places(window, prefix)
    return rows_of_pairs(np, numbers[:, None], numbers, window, prefix)
