"""Targets of a loss: those that are ignored, and those out of range."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from ..._checks import integer, integer_array, row_indices
from ..._sharding import per_row
from .head import on_table, placed_as
from .log_sum_exp import logit_sums


def target_rows(targets, hidden, vocab_size, ignored_id):
    """Targets as int32, -1 if out of range, and a mask of those ignored, or `None`.

    There must be one target for each of the hidden states. An ignored one becomes 0.
    """
    targets = integer_array("targets", targets)
    if targets.shape != hidden.shape[:-1]:
        raise ValueError(
            f"targets.shape={tuple(targets.shape)} must be {hidden.shape[:-1]}, the "
            "shape of hidden without its width."
        )
    ignored = None
    if ignored_id is not None:
        ignored_id = integer("ignored_id", ignored_id)
        info = jnp.iinfo(targets.dtype)
        if info.min <= ignored_id <= info.max:
            ignored = targets == np.asarray(ignored_id, targets.dtype)
            where = np.where if isinstance(targets, np.ndarray) else jnp.where
            targets = where(ignored, np.zeros((), targets.dtype), targets)
            ignored = placed_as(hidden, jnp.asarray(ignored))
    rows = row_indices("targets", targets, vocab_size)
    return placed_as(hidden, rows), ignored


def sums_of_targets(head, arrays, rows, ignored, *, with_mean=False):
    """`LogitSums` of the whole table, for hidden states that are not ignored."""
    if ignored is not None:
        # 0 times NaN would be NaN, in the gradient of every row.
        hidden = arrays.hidden
        hidden = jnp.where(per_row(ignored, hidden), jnp.zeros_like(hidden), hidden)
        arrays = arrays._replace(hidden=hidden)
    run = partial(logit_sums, head, with_mean)
    return on_table(head, run, arrays, targets=rows)


def zero_where_ignored(ignored, x):
    """`x` `(*batch)` of the tokens that are not ignored."""
    return x if ignored is None else jnp.where(ignored, jnp.zeros_like(x), x)
