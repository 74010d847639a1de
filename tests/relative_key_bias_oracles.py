"""Keys and values that depend on the distance: Shaw et al. 2018, eq. 3 and 4.

https://arxiv.org/abs/1803.02155
"""

import numpy as np


def row(q_position, k_position, *, left, right, offset, sign=1):
    """The row of a distance `sign * (key - query)`, clipped to `[-left, right]`."""
    distance = sign * (int(k_position) - int(q_position))
    return min(max(distance, -left), right) + offset


def bias(q, rows_of_table, rows):
    """`q . table[row]` over the root of the width; none where the row is negative.

    `q` is `(batch, q_len, heads, width)`, `rows_of_table` is `(rows, width)`, and
    `rows` is `(q_len, k_len)`.
    """
    q, table = (np.asarray(x, np.float64) for x in (q, rows_of_table))
    out = np.zeros((q.shape[0], q.shape[2], *rows.shape))
    for (i, j), row in np.ndenumerate(rows):
        if row >= 0:
            out[:, :, i, j] = q[:, i] @ table[row]
    return out / np.sqrt(q.shape[-1])


def values(probabilities, rows_of_table, rows):
    """What values by distance add to the result: `sum_j p[i, j] table[row]`."""
    p, table = (np.asarray(x, np.float64) for x in (probabilities, rows_of_table))
    batch, heads, q_len, _ = p.shape
    out = np.zeros((batch, q_len, heads, table.shape[-1]))
    for (i, j), row in np.ndenumerate(rows):
        if row >= 0:
            out[:, i] += p[:, :, i, j, None] * table[row]
    return out


def window_row(q_position, k_position, window):
    """The row of a distance inside a window, or -1."""
    distance = int(k_position) - int(q_position)
    return distance + window if abs(distance) <= window else -1
