"""DeBERTa's attention between content and positions, from its paper, pair by pair.

He et al. 2020, eq. 4 and Algorithm 1 (https://arxiv.org/abs/2006.03654), and the
buckets of its second version. The third term takes the row of the released code,
`query - key`, where the paper's eq. 4 writes `key - query`.
"""

import numpy as np


def bucket(distance, num_buckets, max_position):
    """The signed bucket of a distance, in integers.

    Up to the middle a distance is its own bucket; then come logarithmic ones, rounded
    up: the smallest `n` with `((M - 1) / mid) ** n >= (r / mid) ** (mid - 1)`.
    """
    distance, middle = int(distance), num_buckets // 2
    r, n = abs(distance), 0
    if r <= middle:
        return distance
    while (max_position - 1) ** n * middle ** (middle - 1) < r ** (
        middle - 1
    ) * middle**n:
        n += 1
    return (middle + n) * (1 if distance > 0 else -1)


def row(q_position, k_position, span, num_buckets=None, max_position=None):
    """The row of a table of `2 * span` rows."""
    distance = int(q_position) - int(k_position)
    if num_buckets is not None:
        distance = bucket(distance, num_buckets, max_position)
    return min(max(distance + span, 0), 2 * span - 1)


def layer_norm(x, weight, bias, eps):
    """The LayerNorm of each row of a table."""
    x = np.asarray(x, np.float64)
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * weight + bias


def bias(q, k, key_rows, query_rows, rows):
    """Content to position and position to content, over `sqrt(width * (1 + terms))`.

    `q` and `k` are `(batch, len, heads, width)`; `key_rows` and `query_rows` are the
    projected tables, `(rows, heads, width)`, or `None`; `rows` is `(q_len, k_len)`.
    """
    q, k = (np.asarray(x, np.float64) for x in (q, k))
    terms = sum(table is not None for table in (key_rows, query_rows))
    out = np.zeros((q.shape[0], q.shape[2], *rows.shape))
    for i, j in np.ndindex(rows.shape):
        if key_rows is not None:
            out[:, :, i, j] += np.einsum("bhd,hd->bh", q[:, i], key_rows[rows[i, j]])
        if query_rows is not None:
            out[:, :, i, j] += np.einsum("bhd,hd->bh", k[:, j], query_rows[rows[i, j]])
    return out / np.sqrt(q.shape[-1] * (1 + terms))
