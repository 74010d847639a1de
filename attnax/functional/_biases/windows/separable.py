"""Grids resized one axis after another, each by a matrix."""

import jax.numpy as jnp
from jax import lax

from ..._resizing.axis import axis_matrix
from ..._resizing.resampling import Resampling

LINEAR = Resampling("bilinear", antialias=False)


def resized_axis(grid, axis, matrix):
    """A grid whose `axis` is the product of `matrix`, `(new, old)`, with it."""
    matrix = jnp.asarray(matrix, grid.dtype)
    # An accelerator's default precision would keep half of the bits.
    made = jnp.tensordot(matrix, grid, (1, axis), precision=lax.Precision.HIGHEST)
    return jnp.moveaxis(made, 0, axis)


def resized_rows(table, num_rows):
    """A table of one axis with `num_rows` rows, by linear interpolation."""
    if table.shape[0] == num_rows:
        return table
    return resized_axis(table, 0, axis_matrix(table.shape[0], num_rows, LINEAR))
