"""Where each of several tables begins in one array, and which rows its ids name."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Integer

from ..._checks import (
    INT32_MAX,
    check_axes,
    check_not_sharded,
    first_where,
    int32_in_range,
    integer_array,
    integers,
    is_known,
    positive_integer,
    row_indices,
)
from ..._public import public


@public
def fused_row_offsets(
    row_counts: Sequence[SupportsIndex] | np.ndarray,
) -> Integer[np.ndarray, " num_tables"]:
    """The first row of each table in a fused one, `[0, r_0, r_0 + r_1, ...]`.

    Args:
        row_counts: Number of rows of each table. Positive.

    Returns:
        One offset per table, as int64 of NumPy.

    Raises:
        ValueError: If `row_counts` is not a sequence of positive integers whose sum is
            below `2**31`.

    Example:
        >>> fused_row_offsets((5, 3, 7)).tolist()
        [0, 5, 8]

    Reference:
        The offsets of CSM, Dia and Qwen4-exp in transformers 5.
        https://github.com/huggingface/transformers
    """
    return _offsets(checked_row_counts(row_counts))


def checked_row_counts(row_counts):
    """Numbers of rows of several tables as ints, which int32 can tell apart."""
    counts = integers("row_counts", row_counts)
    if not counts or min(counts) < 1:
        raise ValueError(f"{row_counts=} must be positive integers, at least one.")
    if sum(counts) > INT32_MAX:
        raise ValueError(
            f"{row_counts=} must have a sum below 2**31, but it is {sum(counts)}; "
            "make several fused tables."
        )
    return counts


def _offsets(counts):
    return np.cumsum([0, *counts[:-1]], dtype=np.int64)


def padded_rows(counts, row_multiple):
    """The number of rows of a fused table, a multiple of `row_multiple`."""
    multiple = positive_integer("row_multiple", row_multiple)
    total = -(-sum(counts) // multiple) * multiple
    if total > INT32_MAX:
        raise ValueError(
            f"{row_multiple=} must keep the rows of {sum(counts)} below 2**31."
        )
    return total


def fused_indices(ids, row_counts, num_rows):
    """Rows of a fused table as int32, and -1 for traced ids out of their own range.

    With `row_counts`, the last axis of `ids` has an id of each table, from 0 on. With
    `None`, ids are rows of the fused table.
    """
    ids = integer_array("ids", ids)
    check_axes("ids", ids, "num_tables")
    if 0 in ids.shape[-1:]:
        raise ValueError(f"ids.shape={ids.shape} must end in at least one table.")
    check_not_sharded("ids", ids, 1, "reshard them with jax.reshard")
    if row_counts is None:
        return row_indices("ids", ids, num_rows)
    counts = checked_row_counts(row_counts)
    if ids.shape[-1] != len(counts) or sum(counts) > num_rows:
        raise ValueError(
            f"{row_counts=} must have a number for each of the {ids.shape[-1]} tables "
            f"of ids.shape={ids.shape}, and a sum of at most {num_rows}, the rows of "
            "the array."
        )
    axes = (1,) * (ids.ndim - 1) + (-1,)
    upper = np.array(counts, np.int32).reshape(axes)
    offsets = _offsets(counts).astype(np.int32).reshape(axes)
    if is_known(ids):
        _check_own_range(np.asarray(ids), upper)
    rows, valid = int32_in_range("ids", ids, 0, max(counts))
    rows, below = rows + offsets, rows < upper
    return jnp.where(below if valid is None else valid & below, rows, -1)


def _check_own_range(ids, upper):
    """Raises for the first id out of the range of its own table."""
    bad = (ids < 0) | (ids >= upper)
    first = first_where("ids", ids, bad)
    if first is not None:
        table = int(np.argwhere(bad)[0][-1])
        end = upper.reshape(-1)[table]
        raise ValueError(f"{first} must lie in [0, {end}), the rows of table {table}.")
