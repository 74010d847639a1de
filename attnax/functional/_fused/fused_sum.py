"""The sum of a row of each table, made without an array of all rows."""

from functools import partial

import jax

from ..._sharding import explicit_axes
from .._tables.lookup import lookup_rows
from .._tables.row_sums import has_plain_rows
from .combine import added_up, combined

# Each table has a gather of its own, and each takes some 15 ms to compile.
_MAX_TABLES = 64


def has_fused_sum(weight, indices):
    """Whether `fused_sum` can be had, and is the faster form.

    It has no form for explicit meshes. A table that is widened would be so for every
    gather.
    """
    on_mesh = (explicit_axes(weight), explicit_axes(indices)) != (None, None)
    few = indices.shape[-1] <= _MAX_TABLES
    return has_plain_rows(weight.dtype) and few and not on_mesh


@partial(jax.jit, static_argnums=2)
def fused_sum(weight, indices, accumulation_dtype):
    """The bits of `combined` rows, which are added up as they are read."""
    return _fused_sum(weight, indices, accumulation_dtype)


# Automatic differentiation would make a gradient as large as the array for each table.
@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _fused_sum(weight, indices, accumulation_dtype):
    tables = range(indices.shape[-1])
    of_tables = [lookup_rows(weight, indices[..., table]) for table in tables]
    return added_up(of_tables, accumulation_dtype)


@_fused_sum.defjvp
def _fused_sum_jvp(accumulation_dtype, primals, tangents):
    weight, indices = primals

    def of_all_rows(weight):
        rows = lookup_rows(weight, indices)
        return combined(rows, indices, "sum", None, accumulation_dtype)

    _, tangent = jax.jvp(of_all_rows, (weight,), (tangents[0],))
    return _fused_sum(weight, indices, accumulation_dtype), tangent
