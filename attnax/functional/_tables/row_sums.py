"""Sums of rows that share an index, in a fixed order: what a lookup's gradient is."""

import jax.numpy as jnp
from jax import lax

from ..._dtypes import compute_dtype


def sum_by_row(indices, rows, num_rows):
    """The sums of `rows` by index, as `(row_ids, sums)`, in the compute dtype.

    `indices` `(*batch)` go with `rows` `(*batch, *row)`; those outside `[0, num_rows)`
    are dropped, whatever their rows hold. `row_ids` are the distinct ones, ascending,
    int32. There are as many slots as indices or rows of the table, whichever are fewer.
    Slots without a row come last, hold `num_rows`, and have sums of zero.
    """
    row_shape = rows.shape[indices.ndim :]
    ids = indices.reshape(-1).astype(jnp.int32)
    ids = jnp.where((ids >= 0) & (ids < num_rows), ids, num_rows)
    rows = rows.reshape(ids.size, *row_shape)
    num_slots = min(ids.size, num_rows)
    if num_slots == 0:
        return ids[:0], jnp.zeros((0, *row_shape), compute_dtype(rows.dtype))

    # A stable sort: each sum has one order, that of the indices.
    place = lax.iota(jnp.int32, ids.size)
    ids, order = lax.sort((ids, place), num_keys=1, is_stable=True)
    rows = rows.at[order].get(mode="promise_in_bounds", unique_indices=True)
    sums = _running_sums(ids, rows.astype(compute_dtype(rows.dtype)))

    changes = ids[1:] != ids[:-1]
    is_last = jnp.concatenate([changes, jnp.ones_like(changes, shape=1)])
    slot = jnp.cumsum(is_last, dtype=jnp.int32) - is_last.astype(jnp.int32)
    # Every token has a slot of its own to write to, which is dropped unless it is last.
    slot = jnp.where(is_last & (ids < num_rows), slot, num_slots + place)
    written = {"mode": "drop", "unique_indices": True}
    row_ids = jnp.full_like(ids, num_rows, shape=num_slots)
    row_ids = row_ids.at[slot].set(ids, **written)
    return row_ids, jnp.zeros_like(sums[:num_slots]).at[slot].set(sums, **written)


def _running_sums(ids, rows):
    """The sum of each row and of those before it that have the same index."""
    starts = jnp.concatenate([jnp.ones_like(ids[:1], bool), ids[1:] != ids[:-1]])
    starts = starts.reshape(-1, *(1,) * (rows.ndim - 1))

    def join(first, second):
        (first_starts, first), (starts, second) = first, second
        return first_starts | starts, jnp.where(starts, second, first + second)

    return lax.associative_scan(join, (starts, rows))[1]
