"""Numbers of places, from which the rows of pairs in a table follow.

A table by differences of places has a row for each difference, query minus key. Its
row number is the difference of two numbers, one for each token, plus that of the middle
row: so it takes one subtraction for each pair and no table of pairs.
"""

import math

import numpy as np

# The number of a prefix token, which has no place.
_PREFIX = -1


def sizes_of(window) -> tuple[int, ...]:
    """How many differences there are along each axis."""
    return tuple(2 * n - 1 for n in window)


def numbers_of_places(window, num_prefix_tokens=0):
    """The number of the place of each token, int32, by which rows are told apart."""
    numbers = np.ravel_multi_index(np.indices(window), sizes_of(window)).reshape(-1)
    prefix = np.full(num_prefix_tokens, _PREFIX)
    return np.concatenate([prefix, numbers]).astype(np.int32)


def rows_of_pairs(xp, q_numbers, k_numbers, window, num_prefix_tokens=0):
    """The rows of pairs of numbers of places, which broadcast; see `window_index`."""
    sizes = sizes_of(window)
    middle = int(np.ravel_multi_index(tuple(n - 1 for n in window), sizes))
    rows = q_numbers - k_numbers + np.int32(middle)
    if not num_prefix_tokens:
        return rows
    from_prefix, to_prefix, both = (math.prod(sizes) + np.arange(3)).astype(np.int32)
    rows = xp.where(k_numbers < 0, to_prefix, rows)
    of_prefix = xp.where(k_numbers < 0, both, from_prefix)
    return xp.where(q_numbers < 0, of_prefix, rows)
