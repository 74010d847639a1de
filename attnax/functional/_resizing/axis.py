"""Weights that resize one axis of a grid, from exact sample points.

The axes of a grid are resized one by one, so every convention stands here once. The
place of a sample is a ratio of integers, and the division comes last. NumPy on the host
and traced sizes use the same code.
"""

import numpy as np

from ..._checks import INT32_MAX
from .resampling import exact_offset


def largest_size(old_size, resampling):
    """Returns the largest new size for which no ratio leaves int32."""
    return INT32_MAX // (4 * old_size * exact_offset(resampling).denominator) - 1


def axis_matrix(old_size, new_size, resampling):
    """Returns the float64 matrix `(new_size, old_size)` that resizes one axis."""
    index = np.arange(new_size)
    return dense_weights(np, np.float64, index, new_size, old_size, resampling)


def tap_weights(xp, dtype, index, new_size, old_size, resampling):
    """Returns the old rows that row `index` of the new axis reads, and their weights.

    Both arrays are `(*index, taps)`. Without antialiasing, the number of taps does not
    depend on the sizes. Rows beyond an edge repeat the row at the edge.
    """
    if resampling.align_corners:
        over, under = index * (old_size - 1), xp.maximum(new_size - 1, 1)
    else:
        new, old = _in_units(xp, new_size, old_size, resampling)
        over, under = (2 * index + 1) * old - new, 2 * xp.maximum(new, 1)
    first = over // under
    part = (over - first * under).astype(dtype) / _as(xp, under, dtype)
    if resampling.method == "bilinear":
        steps, weights = (0, 1), (1 - part, part)
    else:
        steps = (-1, 0, 1, 2)
        weights = [_cubic(xp, abs(part - step), -0.75) for step in steps]
    taps = xp.stack([xp.clip(first + step, 0, old_size - 1) for step in steps], axis=-1)
    return taps, xp.stack(weights, axis=-1)


def dense_weights(xp, dtype, index, new_size, old_size, resampling):
    """Returns the weight of each old row in new row `index`, `(*index, old_size)`."""
    rows = np.arange(old_size)
    if not resampling.antialias:
        taps, weights = tap_weights(xp, dtype, index, new_size, old_size, resampling)
        total = xp.zeros((*index.shape, old_size), dtype)
        for tap in range(taps.shape[-1]):
            hit = taps[..., tap, None] == _lift(xp, rows, index)
            total = total + xp.where(hit, weights[..., tap, None], 0)
        return total
    new, old = _in_units(xp, new_size, old_size, resampling)
    # The kernel is as wide as a pixel of the coarser grid.
    over = (2 * _lift(xp, rows, index) + 1) * _last(new) - _last((2 * index + 1) * old)
    distance = over.astype(dtype) / _last(_as(xp, 2 * xp.maximum(new, old), dtype))
    if resampling.method == "bilinear":
        weights = xp.maximum(1 - abs(distance), 0)
    else:
        weights = _cubic(xp, abs(distance), -0.5)
    return weights / weights.sum(axis=-1, keepdims=True)


def _in_units(xp, new_size, old_size, resampling):
    """Returns both sizes, the new one with the offset, as integers.

    The unit is one over the denominator of the offset.
    """
    offset = exact_offset(resampling)
    over, under = offset.numerator, offset.denominator
    if over and (resampling.antialias or resampling.method == "bilinear"):
        # PyTorch copies an axis that keeps its size, except for the plain cubic.
        over = xp.where(new_size == old_size, 0, over)
    return new_size * under + over, old_size * under


def _as(xp, value, dtype):
    return xp.asarray(value).astype(dtype)


def _last(value):
    return value[..., None] if np.ndim(value) else value


def _lift(xp, rows, index):
    """Returns `rows` as a new last axis after those of `index`."""
    shape = (1,) * index.ndim + rows.shape
    return xp.asarray(rows.reshape(shape), dtype=index.dtype)


def _cubic(xp, distance, a):
    """Returns the kernel of Keys, 1981, eq. 8, at distances that are not negative."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return xp.where(distance <= 1, near, xp.where(distance < 2, far, 0))
