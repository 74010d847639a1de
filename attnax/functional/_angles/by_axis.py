"""Cos and sin of positions of several axes, made one axis at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from .once import pinned


# Compiled as one program, as `exact_cos_sin` is, and for the same reason: outside
# `jit`, the `cond` of the join would be compiled again at each call.
@partial(jax.jit, static_argnums=(0, 3))
def cos_sin_by_axis(kernel, positions, per_pair, axis_of_pair):
    """`kernel(positions, per_pair)`, where `axis_of_pair` picks the coordinate.

    `kernel` is `exact_cos_sin` or `product_cos_sin`. With `axis_of_pair=None`, every
    pair reads the same positions. Axes of `per_pair` between the first and the last are
    those of positions.
    """
    if axis_of_pair is None:
        return _of_one_axis(kernel, positions, per_pair)
    # One axis at a time: a pair then has the same bits as in a rope of one axis. A
    # kernel with one position per pair gives other bits.
    axes = np.asarray(axis_of_pair)
    used = np.unique(axes)
    if used.size == 1:
        return _of_one_axis(kernel, positions[..., used[0]], per_pair)
    parts = (
        _of_one_axis(kernel, positions[..., axis], per_pair[..., axes == axis])
        for axis in used
    )
    place = np.argsort(np.argsort(axes, kind="stable"))

    def in_order(*parts):
        return tuple(t[..., place] for t in joined(*parts))

    def joined(*parts):
        return tuple(jnp.concatenate(t, axis=-1) for t in (parts[::2], parts[1::2]))

    # The joined parts have the type of the result, in another order.
    return pinned(in_order, joined, *(t for part in parts for t in part))


def _of_one_axis(kernel, positions, per_pair):
    count, *of_rows, pairs = per_pair.shape
    ones = (1,) * (positions.ndim - len(of_rows))
    return kernel(positions[..., None], per_pair.reshape(count, *ones, *of_rows, pairs))
