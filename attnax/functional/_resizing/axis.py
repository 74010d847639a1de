"""Weights that resize one axis of a grid, from exact sample points.

The axes of a grid are resized one by one, so every convention stands here once. Where a
sample lies is a ratio of integers that is divided last, for NumPy on the host as for
traced sizes.
"""

from fractions import Fraction
from typing import NamedTuple

import numpy as np

from ..._checks import INT32_MAX, check_flags


class Resizing(NamedTuple):
    """Conventions of a resizing, checked by `resizing`."""

    method: str
    antialias: bool
    align_corners: bool
    offset: Fraction

    def plain(self):
        """Without the offset."""
        return self._replace(offset=Fraction(0))


def resizing(method, antialias, align_corners, offset):
    """The conventions of a resizing; a `ValueError` if they contradict each other."""
    if method not in ("bilinear", "bicubic"):
        raise ValueError(f"{method=} must be 'bilinear' or 'bicubic'.")
    check_flags(antialias=antialias, align_corners=align_corners)
    if align_corners and antialias:
        raise ValueError(f"{align_corners=} must come with antialias=False.")
    if align_corners and offset:
        raise ValueError(f"{offset=} must be 0 with {align_corners=}.")
    real = isinstance(offset, int | float | np.integer | np.floating)
    if not real or not 0 <= offset < 1 or Fraction(str(offset)).denominator > 1000:
        raise ValueError(
            f"{offset=} must lie in [0, 1) and have three decimals at most."
        )
    return Resizing(method, bool(antialias), bool(align_corners), Fraction(str(offset)))


def largest_size(old_size, how):
    """The largest new size for which no ratio leaves int32."""
    return INT32_MAX // (4 * old_size * how.offset.denominator) - 1


def axis_matrix(
    old_size, new_size, *, method, antialias, align_corners=False, offset=0.0
):
    """`(new_size, old_size)` in float64: the rows sum to 1."""
    how = resizing(method, antialias, align_corners, offset)
    return dense_weights(np, np.float64, np.arange(new_size), new_size, old_size, how)


def tap_weights(xp, dtype, index, new_size, old_size, how):
    """Old rows that row `index` of the new axis reads, and how much of each.

    Without antialiasing there are as many whatever the sizes: `(*index, taps)` twice.
    Rows beyond the edge are the row at the edge.
    """
    if how.align_corners:
        over, under = index * (old_size - 1), xp.maximum(new_size - 1, 1)
    else:
        new, old = _in_units(xp, new_size, old_size, how)
        over, under = (2 * index + 1) * old - new, 2 * xp.maximum(new, 1)
    first = over // under
    part = (over - first * under).astype(dtype) / _as(xp, under, dtype)
    if how.method == "bilinear":
        steps, weights = (0, 1), (1 - part, part)
    else:
        steps = (-1, 0, 1, 2)
        weights = [_cubic(xp, abs(part - step), -0.75) for step in steps]
    taps = xp.stack([xp.clip(first + step, 0, old_size - 1) for step in steps], axis=-1)
    return taps, xp.stack(weights, axis=-1)


def dense_weights(xp, dtype, index, new_size, old_size, how):
    """How much row `index` of the new axis takes of each old row: `(*index, old)`."""
    rows = np.arange(old_size)
    if not how.antialias:
        taps, weights = tap_weights(xp, dtype, index, new_size, old_size, how)
        total = xp.zeros((*index.shape, old_size), dtype)
        for tap in range(taps.shape[-1]):
            hit = taps[..., tap, None] == _lift(xp, rows, index)
            total = total + xp.where(hit, weights[..., tap, None], 0)
        return total
    new, old = _in_units(xp, new_size, old_size, how)
    # The kernel is as wide as a pixel of the coarser grid.
    over = (2 * _lift(xp, rows, index) + 1) * _last(new) - _last((2 * index + 1) * old)
    distance = over.astype(dtype) / _last(_as(xp, 2 * xp.maximum(new, old), dtype))
    if how.method == "bilinear":
        weights = xp.maximum(1 - abs(distance), 0)
    else:
        weights = _cubic(xp, abs(distance), -0.5)
    return weights / weights.sum(axis=-1, keepdims=True)


def _in_units(xp, new_size, old_size, how):
    """The sizes in units in which the offset, added to the new one, is an integer."""
    over, under = how.offset.numerator, how.offset.denominator
    if over and (how.antialias or how.method == "bilinear"):
        # Where an axis keeps its size PyTorch copies it, but not for the plain cubic.
        over = xp.where(new_size == old_size, 0, over)
    return new_size * under + over, old_size * under


def _as(xp, value, dtype):
    return xp.asarray(value).astype(dtype)


def _last(value):
    return value[..., None] if np.ndim(value) else value


def _lift(xp, rows, index):
    """`rows` as a last axis beside those of `index`."""
    shape = (1,) * index.ndim + rows.shape
    return xp.asarray(rows.reshape(shape), dtype=index.dtype)


def _cubic(xp, distance, a):
    """The kernel of Keys, 1981, eq. 8, at distances that are not negative."""
    near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
    far = a * (((distance - 5) * distance + 8) * distance - 4)
    return xp.where(distance <= 1, near, xp.where(distance < 2, far, 0))
