"""Rows of several tables together: their sum in a fixed order, or all of them."""

import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from ..._checks import array_of, broadcasts_to, float_array
from ..._sharding import per_row
from .rounding import rounded_to


def combined(rows, indices, combine, factors, accumulation_dtype):
    """Rows `(*batch, num_tables, d_model)` in one, in the dtype of the rows.

    For a mean that is the sum, which the caller divides.
    """
    if factors is not None:
        rows = rows * per_row(_checked_factors(factors, indices, rows.dtype), rows)
    if combine is None:
        return rows
    *batch, num_tables, d_model = rows.shape
    if combine == "concatenate":
        return rows.reshape(*batch, num_tables * d_model)
    # Slices keep the order of the sum, and XLA's CPU backend reads them along memory.
    # The derivative of a split puts cotangents side by side; that of slices adds up
    # an array of zeros for each table.
    of_tables = lax.split(rows, (1,) * num_tables, axis=rows.ndim - 2)
    return jnp.squeeze(added_up(of_tables, accumulation_dtype), -2)


def added_up(arrays, accumulation_dtype):
    """The sum of arrays, the first one first, rounded after each addition."""
    total, *others = arrays
    for array in others:
        total = rounded_to(total + array, accumulation_dtype)
    return total


def sharding_before(out_sharding, num_axes, combine):
    """The sharding of the rows from which a result in `out_sharding` is made."""
    if out_sharding is None or combine is None:
        return out_sharding
    named = isinstance(out_sharding, NamedSharding)
    spec = tuple(out_sharding.spec if named else out_sharding)
    spec += (None,) * (num_axes - len(spec))
    # Columns side by side are split among devices only after they are joined.
    columns = None if combine == "concatenate" else spec[-1]
    rows = PartitionSpec(*spec[:-1], None, columns)
    return NamedSharding(out_sharding.mesh, rows) if named else rows


def _checked_factors(factors, indices, dtype):
    """Factors of rows in a dtype, with the axes of `indices` or 1 in their place."""
    factors = array_of("factors", factors)
    if not jnp.issubdtype(factors.dtype, jnp.integer):
        float_array("factors", factors)
    if not broadcasts_to(factors.shape, indices.shape):
        raise ValueError(
            f"factors.shape={factors.shape} must broadcast to "
            f"ids.shape={indices.shape}."
        )
    missing = (1,) * (indices.ndim - factors.ndim)
    return jnp.asarray(factors).reshape(*missing, *factors.shape).astype(dtype)
