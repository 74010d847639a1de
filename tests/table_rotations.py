"""Rotations by tables of cos and sin, as the code of released models has them."""

import numpy as np


def twice(*parts):
    return np.concatenate(parts + parts, axis=-1)


def in_place(*parts):
    return np.repeat(np.concatenate(parts, axis=-1), 2, axis=-1)


def rotate_half(x):
    a, b = np.split(x, 2, axis=-1)
    return np.concatenate([-b, a], axis=-1)


def rotate_neighbors(x):
    out = np.empty_like(x)
    out[..., 0::2], out[..., 1::2] = -x[..., 1::2], x[..., 0::2]
    return out


def by_table(x, table, turned):
    """`x * cos + rotate_half(x) * sin`; channels past the table pass."""
    x, width = np.asarray(x, np.float64), table.shape[-1]
    head, tail = x[..., :width], x[..., width:]
    cos, sin = (t[:, None, :] for t in (np.cos(table), np.sin(table)))
    return np.concatenate([head * cos + turned(head) * sin, tail], axis=-1)


def largest_pair(x):
    """A bound of the length of any pair of channels."""
    return 1.5 * float(np.max(np.abs(x)))


def normal(shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)
