"""Reading and writing a few rows of large arrays, in place where they are donated."""

import numpy as np
from jax import lax

from ..._sharding import explicit_axes, gathered, sharding_like
from .._tables.row_sums import has_plain_rows, set_rows


def read_rows(array, row_ids):
    """The rows of an array by distinct ids; zeros where an id is out of range."""
    axes = explicit_axes(array)
    whole = None if axes is None else sharding_like(array, (None, *axes[1:]))
    return gathered(
        array,
        row_ids,
        mode="fill",
        fill_value=0,
        wrap_negative_indices=False,
        out_sharding=whole,
    )


def write_rows(array, row_ids, rows):
    """An array with other rows at distinct, ascending ids.

    Ids from the length of the array on are dropped; they come last and may repeat.
    """
    if has_plain_rows(array.dtype):
        return _written(array, row_ids, rows)
    # A copy of the bits is cheaper than a wide table; a view of them is not to be had.
    return lax.platform_dependent(
        array, row_ids, rows, cpu=_written_as_bits, default=_written
    )


def _written(array, row_ids, rows):
    sharding = sharding_like(array, explicit_axes(array))
    options = {"indices_are_sorted": True, "out_sharding": sharding}
    return set_rows(array, row_ids, rows, **options)


def _written_as_bits(array, row_ids, rows):
    bits = np.dtype(f"u{np.dtype(array.dtype).itemsize}")
    array_of_bits, rows_of_bits = (
        lax.bitcast_convert_type(x, bits) for x in (array, rows)
    )
    array_of_bits = _written(array_of_bits, row_ids, rows_of_bits)
    return lax.bitcast_convert_type(array_of_bits, array.dtype)
