"""Sums of rows that share an index, in a fixed order: what a lookup's gradient is.

A sum is made of its own rows alone, in their order, so that its bits depend on nothing
else: not on the other rows, and not on where they lie. On a CPU, XLA adds rows to a
table one after another. Elsewhere, rows that are added to one place are slow, and come
in any order; there they are sorted, and added up in pieces, and pieces of pieces.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._checks import INT32_MAX
from ..._dtypes import compute_dtype

# Rows in a piece. Most ids are rare and have one; few rows are left for another level.
_PIECE = 8


def sum_by_row(indices, rows, num_rows):
    """The sums of `rows` by index, as `(row_ids, sums)`, in the compute dtype.

    `indices` `(*batch)`, int32, go with `rows` `(*batch, *row)`; those outside
    `[0, num_rows)` are dropped, whatever their rows hold. `row_ids` are the distinct
    ones, ascending, int32. There are as many slots as indices or rows of the table,
    whichever are fewer. Slots without a row come last, hold `num_rows`, and have sums
    of zero.
    """
    ids, rows = flattened(indices, rows, num_rows)
    form = partial(lax.platform_dependent, cpu=sums_in_turn, default=sums_in_pieces)
    return by_slot(form, ids, rows, num_rows)


def by_slot(form, ids, rows, num_rows):
    """`sum_by_row` of flat arrays, where `form` adds up."""
    if ids.size == 0 or num_rows == 0:
        return ids[:0], jnp.zeros_like(rows[:0], compute_dtype(rows.dtype))
    place = lax.iota(jnp.int32, ids.size)
    ids, order = sorted_by_id(ids, num_rows)
    starts = _run_starts(ids)
    slot = jnp.cumsum(starts, dtype=jnp.int32) - 1
    num_slots = min(ids.size, num_rows)
    first = jnp.full_like(ids, ids.size, shape=num_slots)
    first = set_rows(first, jnp.where(starts, slot, -1), place)
    row_ids = ids.at[first].get(mode="fill", fill_value=num_rows)
    first = jnp.where(row_ids < num_rows, first, ids.size)
    return row_ids, form(rows, ids, order, slot, first)


def flattened(indices, rows, num_rows):
    """`indices` and `rows` in one axis; `num_rows` is the index of what is dropped."""
    ids = indices.reshape(-1)
    ids = jnp.where((ids >= 0) & (ids < num_rows), ids, num_rows)
    return ids, rows.reshape(ids.size, *rows.shape[indices.ndim :])


def has_plain_rows(dtype):
    """Whether every XLA backend reads and writes rows of a table in its own dtype.

    Before jax 0.12, that of CPUs may widen a whole table of 16-bit floats, and narrow
    it again.
    """
    return np.dtype(dtype).itemsize >= 4 or jax.__version_info__ >= (0, 12)


def add_rows(table, ids, rows):
    """`table` with `rows` added in its dtype, in turn; other ids are dropped."""
    rows = rows.astype(table.dtype)
    return table.at[ids].add(rows, mode="drop", wrap_negative_indices=False)


def set_rows(table, ids, rows, **options):
    """`table` with `rows` at distinct `ids`; ids outside the table are dropped."""
    ids = distinct_outside(ids, table.shape[0])
    return set_distinct_rows(table, ids, rows, **options)


def distinct_outside(ids, num_rows):
    """`ids` of any dtype as int32, of which those outside the table are distinct too.

    `set_distinct_rows` tells the compiler that all of them are.
    """
    if ids.dtype != jnp.int32:
        info = jnp.iinfo(ids.dtype)
        ids = ids.clip(max(info.min, -1), min(info.max, INT32_MAX)).astype(jnp.int32)
    outside = num_rows + lax.iota(jnp.int32, ids.size)
    return jnp.where((ids >= 0) & (ids < num_rows), ids, outside)


def set_distinct_rows(table, ids, rows, **options):
    """As `set_rows`, for ids that are distinct outside the table too."""
    return table.at[ids].set(
        rows, mode="drop", unique_indices=True, wrap_negative_indices=False, **options
    )


def sorted_by_id(ids, num_rows):
    """`ids` in `[0, num_rows]` in ascending order, and their places before.

    Equal ids keep their order. XLA's CPU backend sorts single words several times as
    fast as pairs. So a word holds the place, below the bits of the id that fit.
    """
    place = lax.iota(jnp.uint32, ids.size)
    bits_of_place = max(ids.size - 1, 1).bit_length()
    width, done, order = 32 - bits_of_place, 0, place
    while done < num_rows.bit_length():
        digit = ids.at[order].get(mode="promise_in_bounds").astype(jnp.uint32) >> done
        words = lax.sort(digit << bits_of_place | place, is_stable=False)
        order = order.at[words & ((1 << bits_of_place) - 1)].get(
            mode="promise_in_bounds", unique_indices=True
        )
        done += width
    return ids.at[order].get(mode="promise_in_bounds"), order.astype(jnp.int32)


def sums_in_turn(rows, ids, order, slot, first):
    """Sums by slot, in the order of the rows."""
    place = lax.iota(jnp.int32, ids.size)
    start = first.at[slot].get(mode="fill", fill_value=ids.size)
    others = jnp.where(start < place, slot, -1)
    others = set_rows(jnp.zeros_like(slot), order, others)
    first = order.at[first].get(mode="fill", fill_value=ids.size)
    return sums_from_firsts(rows_at(first, rows), others, rows)


def rows_at(places, rows):
    """`rows` at places that are not negative; zeros where these are too large."""
    options = {"mode": "fill", "fill_value": 0, "wrap_negative_indices": False}
    return rows.at[places].get(**options)


def sums_from_firsts(firsts, others, rows):
    """Sums in the compute dtype that start with `firsts`, to which `rows` are added.

    `others` are the sums to which they are added in turn, -1 for none. Bits are those
    of sums that start with zero. It is faster, because XLA's CPU backend copies rows on
    all cores and adds them up on one.
    """
    sums = firsts.astype(compute_dtype(rows.dtype))
    sums = jnp.where(sums == 0, jnp.zeros_like(sums), sums)  # 0 + -0 is 0
    return add_rows(sums, others, rows)


def sums_in_pieces(rows, ids, order, slot, first):
    """Sums by slot, of the row at which each run of equal ids begins and its others."""
    read = lambda at: rows.at[order.at[at].get(mode="clip")].get(mode="clip")
    sums = _sums_of_runs(ids, read, compute_dtype(rows.dtype))
    return sums.at[first].get(mode="fill", fill_value=0)


def _sums_of_runs(ids, read, dtype):
    """The sum of each run of equal `ids`, where it begins; other places do not count.

    `read(places)` are the rows at places of `ids`.
    """
    place = lax.iota(jnp.int32, ids.size)
    sums = read(place).astype(dtype)
    for step in range(1, min(_PIECE, ids.size)):
        same = ids.at[place + step].get(mode="fill", fill_value=-1) == ids
        same = same.reshape(-1, *(1,) * (sums.ndim - 1))
        more = read(place + step).astype(dtype)
        sums = sums + jnp.where(same, more, jnp.zeros_like(more))
    # A run of more than one piece has at least this many rows for each piece, halved.
    num_pieces = 2 * ids.size // (_PIECE + 1)
    if num_pieces == 0:
        return sums
    rank = place - lax.cummax(jnp.where(_run_starts(ids), place, 0))
    others = ids.at[place + _PIECE].get(mode="fill", fill_value=-1) == ids
    begins = (rank % _PIECE == 0) & ((rank >= _PIECE) | others)
    piece = jnp.cumsum(begins, dtype=jnp.int32) - 1
    at = jnp.full_like(ids, ids.size, shape=num_pieces)
    at = set_rows(at, jnp.where(begins, piece, -1), place)
    # Places without a piece are at the end, and a run of their own.
    of_pieces = ids.at[at].get(mode="fill", fill_value=jnp.iinfo(jnp.int32).max)
    pieces = sums.at[at].get(mode="fill", fill_value=0)
    wholes = _sums_of_runs(of_pieces, lambda at: pieces.at[at].get(mode="clip"), dtype)
    begins = rank.at[at].get(mode="fill", fill_value=-1) == 0
    return set_rows(sums, jnp.where(begins, at, -1), wholes)


def _run_starts(ids):
    """Whether an id of a sorted array is the first of its kind."""
    return jnp.concatenate([jnp.ones_like(ids[:1], bool), ids[1:] != ids[:-1]])
