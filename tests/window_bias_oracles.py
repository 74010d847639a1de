"""Biases of windows and pictures in float64, written from the papers, pair by pair."""

import math

import numpy as np


def places(token, grid, num_prefix_tokens=0):
    """Row and column of a token of a grid, or None of a prefix token."""
    if token < num_prefix_tokens:
        return None
    return divmod(token - num_prefix_tokens, grid[1])


def pairs(q_positions, k_positions, value):
    """`(heads, queries, keys)` from the vector `value(query, key)` over the heads."""
    rows = [[value(int(i), int(j)) for j in k_positions] for i in q_positions]
    return np.moveaxis(np.array(rows, np.float64), -1, 0)


def window_bias(table, grid, q_positions, k_positions, num_prefix_tokens=0):
    """Liu et al. 2021, eq. 4; with a class token the three rows of Bao et al. 2021.

    The table has a row for each difference of rows and columns, query minus key, and
    behind them rows for the class token's view of a patch, a patch's view of it, and
    its view of itself.
    """
    rows, columns = grid
    table = np.asarray(table, np.float64)
    count = (2 * rows - 1) * (2 * columns - 1)
    square = table[:count].reshape(2 * rows - 1, 2 * columns - 1, -1)

    def value(i, j):
        query, key = (places(n, grid, num_prefix_tokens) for n in (i, j))
        if query is None:
            return table[count + 2] if key is None else table[count]
        if key is None:
            return table[count + 1]
        return square[query[0] - key[0] + rows - 1, query[1] - key[1] + columns - 1]

    return pairs(q_positions, k_positions, value)


def volume_bias(table, grid, q_positions, k_positions):
    """Liu et al. 2022 (Video Swin), eq. 4: frames, rows and columns."""
    table = np.asarray(table, np.float64)
    cube = table.reshape(*(2 * side - 1 for side in grid), -1)

    def value(i, j):
        query, key = (np.unravel_index(n, grid) for n in (i, j))
        return cube[
            tuple(q - k + s - 1 for q, k, s in zip(query, key, grid, strict=True))
        ]

    return pairs(q_positions, k_positions, value)


def offset_bias(table, grid, q_positions, k_positions):
    """Graham et al. 2021 (LeViT), eq. 1: `(heads, rows * columns)` by |dy| and |dx|."""
    table = np.asarray(table, np.float64).reshape(-1, *grid)

    def value(i, j):
        (row, column), (to_row, to_column) = places(i, grid), places(j, grid)
        return table[:, abs(row - to_row), abs(column - to_column)]

    return pairs(q_positions, k_positions, value)


def log_coordinate(distance, window, pretrained):
    """Liu et al. 2022 (Swin v2), eq. 5, to 8 and with base 8 as its code has it."""
    side = pretrained if pretrained > 0 else window
    if distance == 0:
        return 0.0
    x = 8 * distance / (side - 1)
    return math.copysign(math.log2(1 + abs(x)) / 3, x)


def log_coordinate_bias(
    mlp, grid, q_positions, k_positions, *, pretrained=(0, 0), form="swin", prefix=0
):
    """16 sigmoids of a network of two logarithms; `"cr"` is timm's, without them.

    `mlp` is the first weight `(hidden, 2)` and bias, and the second `(heads, hidden)`
    and bias or None. A class token sees and is seen without a bias.
    """
    weight, bias, out, out_bias = (
        None if a is None else np.asarray(a, np.float64) for a in mlp
    )

    def value(i, j):
        query, key = (places(n, grid, prefix) for n in (i, j))
        if query is None or key is None:
            return np.zeros(len(out))
        distances = [q - k for q, k in zip(query, key, strict=True)]
        if form == "swin":
            x = [
                log_coordinate(*a)
                for a in zip(distances, grid, pretrained, strict=True)
            ]
        else:
            x = [math.copysign(math.log1p(abs(d)), d) for d in distances]
        hidden = np.maximum(weight @ np.array(x) + bias, 0)
        made = out @ hidden + (0 if out_bias is None else out_bias)
        return 16 / (1 + np.exp(-made)) if form == "swin" else made

    return pairs(q_positions, k_positions, value)
