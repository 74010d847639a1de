"""Values out of range: an error where they are known, or NaN where they are traced."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from .arrays import first_where, integer_array, is_known

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

# The way out for one position where each token needs its own.
COUNT_FROM = "; to count from it on, pass it plus jnp.arange(seq_len)"


def int32_in_range(
    name: str,
    values,
    lower: int = INT32_MIN,
    upper: int = INT32_MAX + 1,
    hint: str = "",
):
    """`values` as int32, and a mask of those in `[lower, upper)` and in int32.

    The mask is `None` where no value can be out of range: the dtype holds no such
    value, or the values are known and have been checked on the host. The error names
    the first bad value, and `hint` is the way out.
    """
    lower, upper = max(lower, INT32_MIN), min(upper, INT32_MAX + 1)
    values = integer_array(name, values)
    info = jnp.iinfo(values.dtype)
    if lower <= info.min and info.max < upper:
        return jnp.asarray(values, jnp.int32), None
    if is_known(values):
        _check_on_host(name, np.asarray(values), lower, upper, hint)
        return jnp.asarray(values, jnp.int32), None

    if info.bits < 32:  # the narrow dtype may not hold the bounds
        values = values.astype(jnp.int32)
    valid = None
    if lower > info.min:
        valid = values >= jnp.asarray(lower, values.dtype)
    if upper <= info.max:
        below = values < jnp.asarray(upper, values.dtype)
        valid = below if valid is None else valid & below
    return values.astype(jnp.int32), valid


def row_indices(name: str, values, num_rows: int):
    """`values` as int32, with -1 for traced values outside `[0, num_rows)`."""
    indices, valid = int32_in_range(name, values, 0, num_rows)
    return indices if valid is None else jnp.where(valid, indices, -1)


def nan_where_invalid(valid, x):
    """`x` with NaN in place of the rows that are not valid.

    A row has the axes of `x` after those of `valid`.
    """
    if valid is None:
        return x
    valid = valid.reshape(valid.shape + (1,) * (x.ndim - valid.ndim))
    return jnp.where(valid, x, nan_unless(valid, x.dtype))


def nan_unless(valid, dtype):
    """0 where `valid`, and NaN elsewhere.

    The selection is among bits, so that `jax_debug_nans` finds no NaN where every value
    is valid.
    """
    nan = np.asarray(jnp.nan, dtype)
    bits = nan.view(f"u{nan.itemsize}")
    bits = jnp.where(valid, jnp.zeros_like(bits), bits)
    return lax.bitcast_convert_type(bits, nan.dtype)


def _check_on_host(name, values, lower, upper, hint):
    first = first_where(name, values, (values < lower) | (values >= upper))
    if first is not None:
        raise ValueError(f"{first} must lie in [{lower}, {upper}){hint}.")
