"""Biases of a query with tables for rows and columns, in float64, pair by pair."""

import itertools
import math

import numpy as np
from table_resize_oracles import linear


def row_of_distance(q, k, q_len, k_len):
    """Li et al. 2022 (MViTv2), section 4.1: the shorter side steps further.

    The distance of MViTv2's code, from exact fractions and towards zero.
    """
    longer = max(q_len, k_len)
    # Over the common denominator `q_len * k_len`, in integers.
    along_q = q * longer * k_len
    along_k = k * longer * q_len
    shift = (k_len - 1) * longer * q_len
    return math.trunc((along_q - along_k + shift) / (q_len * k_len))


def decomposed_bias(q, tables, q_grid, k_grid, num_prefix_tokens=0):
    """`q` is `(batch, queries, heads, head_dim)`, not scaled; a table for each axis.

    Prefix tokens, in front of queries and keys, have no bias.
    """
    q = np.asarray(q, np.float64)
    tables = [
        linear(table, 2 * max(sides) - 1)
        for table, *sides in zip(tables, q_grid, k_grid, strict=True)
    ]
    batch, queries, heads, _ = q.shape
    prefix = num_prefix_tokens
    out = np.zeros((batch, heads, queries, prefix + math.prod(k_grid)))
    places = [list(itertools.product(*map(range, grid))) for grid in (q_grid, k_grid)]
    for i, query in enumerate(places[0], prefix):
        for j, key in enumerate(places[1], prefix):
            for axis, table in enumerate(tables):
                sides = q_grid[axis], k_grid[axis]
                row = table[row_of_distance(query[axis], key[axis], *sides)]
                out[:, :, i, j] += q[:, i] @ row
    return out
