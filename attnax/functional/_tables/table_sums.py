"""The gradient of a table of rows: a dense table that holds sums of rows."""

import math

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._dtypes import compute_dtype
from .row_sums import (
    add_rows,
    by_slot,
    flattened,
    has_plain_rows,
    rows_at,
    set_rows,
    sums_from_firsts,
    sums_in_pieces,
)


def table_of_sums_in_turn(indices, rows, num_rows, dtype):
    """Sums in a table of `dtype`, on a CPU: rows are added one after another.

    The sums are those of `sum_by_row` there, bit for bit.
    """
    ids, rows = flattened(indices, rows, num_rows)
    wide = compute_dtype(dtype)
    if not _has_firsts(ids.size, rows, num_rows, narrow=wide != dtype):
        return add_rows(_zeros(rows, num_rows, wide), ids, rows).astype(dtype)
    place = lax.iota(jnp.int32, ids.size)
    first = jnp.full_like(ids, ids.size, shape=num_rows)
    first = first.at[ids].min(place, mode="drop")
    slot = first.at[ids].get(mode="fill", fill_value=ids.size)
    is_first = slot == place
    if num_rows <= 2 * ids.size:
        others = jnp.where(is_first, -1, ids)
        return sums_from_firsts(rows_at(first, rows), others, rows).astype(dtype)
    # A wide table would be larger than sums. The first row of each id is its slot.
    sums = sums_from_firsts(rows, jnp.where(is_first, -1, slot), rows)
    return _table(num_rows, jnp.where(is_first, ids, -1), sums, dtype)


def _has_firsts(num_ids, rows, num_rows, *, narrow):
    """Whether the first row of each id is copied before the others are added.

    On two cores, sums of 64 columns or more take up to a quarter less time that way if
    the table has one to two rows for each id. With fewer rows than ids it takes as long
    or longer, and with 8 to 16 columns twice as long. A narrow table of more than two
    rows for each id is made from sums, since a wide table would be larger.
    """
    columns = math.prod(rows.shape[1:])
    if not isinstance(num_ids, int) or not isinstance(columns, int):  # symbols
        return False
    # XLA makes a write of the sum of zero and one row, which may be -0.
    if num_ids == 1:
        return True
    if num_rows <= 2 * num_ids:
        return num_rows >= num_ids and columns >= 64
    return narrow


def table_of_sums(indices, rows, num_rows, dtype):
    """Sums in a table of `dtype`, where rows that meet in one place are slow."""
    if not isinstance(indices.size, int):  # levels cannot be counted in symbols
        return table_of_sums_in_turn(indices, rows, num_rows, dtype)
    ids, rows = flattened(indices, rows, num_rows)
    row_ids, sums = by_slot(sums_in_pieces, ids, rows, num_rows)
    return _table(num_rows, row_ids, sums, dtype)


def _table(num_rows, ids, sums, dtype):
    """Zeros, with `sums` at distinct `ids`."""
    sums = sums.astype(dtype)
    if has_plain_rows(dtype):
        return set_rows(_zeros(sums, num_rows, dtype), ids, sums)
    # Integers of 16 bits are never widened.
    bits = np.dtype(f"u{np.dtype(dtype).itemsize}")
    sums = lax.bitcast_convert_type(sums, bits)
    table = set_rows(_zeros(sums, num_rows, bits), ids, sums)
    return lax.bitcast_convert_type(table, dtype)


def _zeros(rows, num_rows, dtype):
    return jnp.zeros_like(rows, dtype, shape=(num_rows, *rows.shape[1:]))
