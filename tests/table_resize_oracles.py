"""Tables of biases resized in float64: along one axis, then along the other."""

import numpy as np
from resize_oracles import weights_of_row

import attnax.functional as F

BICUBIC = F.Resampling("bicubic", antialias=False)
BICUBIC_ANTIALIAS = F.Resampling("bicubic", antialias=True)
BILINEAR = F.Resampling("bilinear", antialias=False)


def linear(table, length):
    """A table of one axis `(old length, dim)` resized with half-pixel centers."""
    table = np.asarray(table, np.float64)
    old = len(table)
    return (
        np.array([weights_of_row(i, old, length, BILINEAR) for i in range(length)])
        @ table
    )


def resized_table(table, old_window, new_window, weights, extra_rows=0):
    """`weights(old, new length)` says what each new row takes of the old ones."""
    table = np.asarray(table, np.float64)
    lengths = [2 * side - 1 for side in old_window]
    count = lengths[0] * lengths[1]
    assert len(table) == count + extra_rows
    if tuple(old_window) == tuple(new_window):
        return table
    by_axis = [
        weights(old, 2 * side - 1)
        for old, side in zip(lengths, new_window, strict=True)
    ]
    grid = table[:count].reshape(*lengths, -1)
    made = np.einsum("yr,xc,rch->yxh", *by_axis, grid)
    return np.concatenate([made.reshape(-1, table.shape[1]), table[count:]])


def by_pixels(resampling):
    """PyTorch's interpolation of the grid of distances as a picture."""
    return lambda old, new: np.array(
        [weights_of_row(i, old, new, resampling) for i in range(new)]
    )


def resized_offsets(table, old_window, new_window, resampling):
    """A table by distances without signs: one row for each size, not two."""
    table = np.asarray(table, np.float64)
    grid = table.reshape(*old_window, -1)
    by_axis = [
        by_pixels(resampling)(*s) for s in zip(old_window, new_window, strict=True)
    ]
    return np.einsum("yr,xc,rch->yxh", *by_axis, grid).reshape(-1, table.shape[1])


def geometric_distances(old, new):
    """Bao et al. 2021 (BEiT), its code: 0, 1, 1 + q, ... out to half the new length.

    The ratio is what 19 halvings of 1.01 .. 1.5 leave; its last digits are seen in the
    result, so that an exact root is another rule. No ratio outside is tried.
    """
    reach = lambda ratio: sum(ratio**i for i in range(old // 2))
    low, high, ratio = 1.01, 1.5, None
    while high - low > 1e-6:
        ratio = (low + high) / 2
        low, high = (low, ratio) if reach(ratio) > new // 2 else (ratio, high)
    ends = [sum(ratio**i for i in range(n + 1)) for n in range(old // 2)]
    return np.array([-d for d in reversed(ends)] + [0.0] + ends)


def geometric_linear(old, new):
    """timm's rule: straight lines between the geometric distances, flat beyond them."""
    known = geometric_distances(old, new)
    asked = np.arange(new) - new // 2
    return np.array([np.interp(asked, known, row) for row in np.eye(old)]).T


def geometric_cubic(old, new):
    """BEiT's rule: a cubic spline through the geometric distances, flat beyond them.

    Its third derivative has no jump at the first and last inner knot.
    """
    x = geometric_distances(old, new)
    asked = np.clip(np.arange(new) - new // 2, x[0], x[-1])
    return np.array([_spline(x, row, asked) for row in np.eye(old)]).T


def _spline(x, y, asked):
    """One cubic for each interval; their 4 (n - 1) coefficients solve one system."""
    pieces = len(x) - 1
    h = np.diff(x)
    system, right = [], []

    def equation(value, **coefficients):
        row = np.zeros(4 * pieces)
        for piece, numbers in coefficients.items():
            start = 4 * int(piece[1:])
            row[start : start + 4] = numbers
        system.append(row)
        right.append(value)

    for i in range(pieces):
        equation(y[i], **{f"p{i}": (1, 0, 0, 0)})
        equation(y[i + 1], **{f"p{i}": (1, h[i], h[i] ** 2, h[i] ** 3)})
    for i in range(pieces - 1):
        slope = (0, 1, 2 * h[i], 3 * h[i] ** 2)
        equation(0, **{f"p{i}": slope, f"p{i + 1}": (0, -1, 0, 0)})
        equation(0, **{f"p{i}": (0, 0, 2, 6 * h[i]), f"p{i + 1}": (0, 0, -2, 0)})
    for i in (0, pieces - 2):
        equation(0, **{f"p{i}": (0, 0, 0, 1), f"p{i + 1}": (0, 0, 0, -1)})
    pieces_of = np.linalg.solve(np.array(system), np.array(right)).reshape(-1, 4)
    at = np.clip(np.searchsorted(x, asked, side="right") - 1, 0, pieces - 1)
    t = asked - x[at]
    return np.sum(pieces_of[at] * t[:, None] ** np.arange(4), axis=1)
