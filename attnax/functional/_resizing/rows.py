"""Single rows of a resized grid, and their gradients."""

import itertools
import math
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from ..._sharding import gathered, per_row
from .axis import dense_weights, tap_weights


# The custom derivative is for speed alone. Reading a few rows is fastest, but its
# transpose, which adds rows up, is not; see `_product_is_faster`.
@partial(jax.custom_jvp, nondiff_argnums=(3, 4, 5))
def resized_rows(table, index, sizes, old_grid, resampling, out_sharding):
    """Returns a row for each `index`, `(*rows, 2)`, of grids of `sizes`, in range."""
    read = _from_all if resampling.antialias else _from_taps
    return read(table, index, sizes, old_grid, resampling, out_sharding)


@resized_rows.defjvp
def _rows_jvp(old_grid, resampling, out_sharding, primals, tangents):
    table, index, sizes = primals
    read = _from_all if _product_is_faster(old_grid, resampling) else _from_taps
    rows = resized_rows(table, index, sizes, old_grid, resampling, out_sharding)
    return rows, read(tangents[0], index, sizes, old_grid, resampling, out_sharding)


def _product_is_faster(old_grid, resampling):
    """Returns whether a matrix product is faster than adding up taps for the gradient.

    The cost of a product grows with the rows of the table, that of adding up with the
    taps. On two CPU cores one tap costs about as much as 180 rows
    (`benchmarks/bench_resize.py`).
    """
    taps = {"bilinear": 4, "bicubic": 16}[resampling.method]
    return resampling.antialias or math.prod(old_grid) <= 180 * taps


def _from_all(table, index, sizes, old_grid, resampling, out_sharding):
    """Multiplies the weights of all rows by the whole table, for antialiasing."""
    by_row, by_column = _by_axis(
        dense_weights, table, index, sizes, old_grid, resampling
    )
    weights = by_row[..., :, None] * by_column[..., None, :]
    weights = weights.reshape(*weights.shape[:-2], math.prod(old_grid))
    return jnp.einsum(
        "...p,pd->...d",
        weights,
        table,
        precision=lax.Precision.HIGHEST,
        out_sharding=out_sharding,
    )


def _from_taps(table, index, sizes, old_grid, resampling, out_sharding):
    """Adds up the two or four rows and columns that each patch reads."""
    taps = _by_axis(tap_weights, table, index, sizes, old_grid, resampling)
    (rows, by_row), (columns, by_column) = taps
    total = None
    for i, j in itertools.product(range(rows.shape[-1]), range(columns.shape[-1])):
        row = rows[..., i] * old_grid[1] + columns[..., j]
        read = gathered(table, row, mode="promise_in_bounds", out_sharding=out_sharding)
        part = per_row(by_row[..., i] * by_column[..., j], read) * read
        total = part if total is None else total + part
    return total


def _by_axis(weights_of, table, index, sizes, old_grid, resampling):
    """Returns the weights of each axis, by `tap_weights` or `dense_weights`."""
    return [
        weights_of(
            jnp, table.dtype, index[..., a], sizes[..., a], old_grid[a], resampling
        )
        for a in (0, 1)
    ]
