"""Resized grids in float64, written from PyTorch's definition, one output at a time."""

import functools
import math

import numpy as np

import attnax.functional as F

CONVENTIONS = (
    F.Resampling("bilinear", antialias=False),
    F.Resampling("bilinear", antialias=True),
    F.Resampling("bilinear", antialias=False, align_corners=True),
    F.Resampling("bicubic", antialias=False),
    F.Resampling("bicubic", antialias=True),
    F.Resampling("bicubic", antialias=False, align_corners=True),
    F.Resampling("bicubic", antialias=False, offset=0.1),
    F.Resampling("bicubic", antialias=True, offset=0.125),
    F.Resampling("bilinear", antialias=False, offset=0.1),
)
BILINEAR = CONVENTIONS[0]
# The absolute weights of a row sum to at most 1.6 for either cubic kernel, for each
# axis; a table's entries are at most 8.
SIZE = 8 * 1.6**2


def keys(distance, a):
    """Keys, 1981: the cubic kernel of slope `a`."""
    x = abs(distance)
    if x <= 1:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1
    if x < 2:
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return 0.0


@functools.cache
def weights_of_row(i, old, new, resampling):
    """How much row `i` of `new` takes of each of the `old` rows."""
    method, antialias = resampling.method, resampling.antialias
    offset = resampling.offset
    out = np.zeros(old)
    if old == new and (antialias or method == "bilinear"):
        out[i] = 1.0  # PyTorch copies such an axis, whatever the scale
        return out
    if antialias:
        scale = old / (new + offset)
        widened = max(scale, 1.0)
        center = (i + 0.5) * scale
        for row in range(old):
            distance = (row + 0.5 - center) / widened
            triangle = max(0.0, 1 - abs(distance))
            out[row] = triangle if method == "bilinear" else keys(distance, -0.5)
        return out / out.sum()
    if resampling.align_corners:
        source = i * (old - 1) / (new - 1) if new > 1 else 0.0
    else:
        source = (i + 0.5) * old / (new + offset) - 0.5
    first = math.floor(source)
    for row in range(first - 1, first + 3):
        distance = source - row
        triangle = max(0.0, 1 - abs(distance))
        weight = triangle if method == "bilinear" else keys(distance, -0.75)
        out[min(max(row, 0), old - 1)] += weight
    return out


def resized(table, old_grid, new_grid, resampling, num_prefix_tokens=0):
    """`(prefix + new rows * new columns, d_model)`."""
    table = np.asarray(table, np.float64)
    prefix, rows = table[:num_prefix_tokens], table[num_prefix_tokens:]
    if tuple(old_grid) == tuple(new_grid):
        return table
    grid = rows.reshape(*old_grid, -1)
    out = np.zeros((*new_grid, table.shape[-1]))
    for i in range(new_grid[0]):
        by_row = weights_of_row(i, old_grid[0], new_grid[0], resampling)
        for j in range(new_grid[1]):
            by_column = weights_of_row(j, old_grid[1], new_grid[1], resampling)
            out[i, j] = by_column @ np.tensordot(by_row, grid, 1)
    return np.concatenate([prefix, out.reshape(-1, table.shape[-1])])
