"""BEiT's rule for tables of another window, for one axis, as a matrix.

The differences of the old window stand at 0, 1, 1 + q, 1 + q + q ** 2, ... and at their
negatives, with a ratio `q` that makes the last one that of the new window. The new
differences are whole numbers, and values between the old ones are interpolated.
"""

import numpy as np


def geometric_matrix(old_size, new_size, *, cubic):
    """The float64 matrix `(new_size, old_size)` from old differences to new ones."""
    if old_size == 1:
        return np.ones((new_size, 1))
    known = _geometric_places(old_size // 2, new_size // 2)
    # The value of the last place goes on beyond it.
    asked = (np.arange(new_size) - new_size // 2).clip(known[0], known[-1])
    piece = np.searchsorted(known, asked, side="right") - 1
    piece = piece.clip(0, old_size - 2)
    width = known[piece + 1] - known[piece]
    part = (asked - known[piece]) / width
    matrix, rows = np.zeros((new_size, old_size)), np.arange(new_size)
    matrix[rows, piece], matrix[rows, piece + 1] = 1 - part, part
    if cubic:
        # A cubic is the line and what its second derivatives at both ends add.
        bends, scale = _second_derivatives(known), width**2 / 6
        at_start, at_end = (1 - part) ** 3 - (1 - part), part**3 - part
        matrix += (scale * at_start)[:, None] * bends[piece]
        matrix += (scale * at_end)[:, None] * bends[piece + 1]
    return matrix


def _geometric_places(count, reach):
    """`count` places on each side of 0, the last of them near `reach`."""
    # The search is that of BEiT's code, step by step: with an exact ratio, the outer
    # places would differ in digits that results show.
    low, high, ratio = 1.01, 1.5, 1.01
    while high - low > 1e-6:
        ratio = (low + high) / 2
        if (1 - ratio**count) / (1 - ratio) > reach:
            high = ratio
        else:
            low = ratio
    places = np.cumsum(ratio ** np.arange(count))
    return np.concatenate([-places[::-1], [0.0], places])


def _second_derivatives(known):
    """Second derivatives of the cubic spline at its knots, one column for each value.

    Its third derivative does not jump at the second and the last but one knot.
    """
    count, steps = len(known), np.diff(known)
    system, right = np.zeros((count, count)), np.zeros((count, count))
    for n in range(1, count - 1):
        before, after = steps[n - 1], steps[n]
        system[n, n - 1 : n + 2] = before, 2 * (before + after), after
        right[n, n - 1 : n + 2] = 6 / before, -6 / before - 6 / after, 6 / after
    for row, n in ((0, 1), (count - 1, count - 2)):
        before, after = steps[n - 1], steps[n]
        system[row, n - 1 : n + 2] = after, -before - after, before
    return np.linalg.solve(system, right)
