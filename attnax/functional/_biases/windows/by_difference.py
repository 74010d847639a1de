"""Biases from a table by differences of places, as a matrix and at single pairs."""

import math

import jax.numpy as jnp

from ...._dtypes import compute_dtype
from ..core.by_row import matrix_by_row
from ..core.entries import entry_at
from ..core.spread import spread
from ..core.table import bias_at
from .places import numbers_of_places, rows_of_pairs, sizes_of


def matrix_by_difference(table, window, num_prefix_tokens, pairs, dtype):
    """The bias of every pair, `(*batch, num_heads, q_len, k_len)`, in `dtype`.

    `table` is `(num_rows, num_heads)`, with the rows that `window_index` names.
    """
    table = jnp.asarray(table)
    if pairs.all_of(num_prefix_tokens + math.prod(window)):
        return _of_all_tokens(table, window, num_prefix_tokens, dtype)
    q, k = (_numbers(t, window, num_prefix_tokens) for t in (pairs.q, pairs.k))
    rows = rows_of_pairs(
        jnp, q[..., :, None], k[..., None, :], window, num_prefix_tokens
    )
    return matrix_by_row(table, rows, dtype)


def score_by_difference(table, window, num_prefix_tokens, pairs):
    """The function from indices to a bias: `(batch, head, q_index, k_index)`."""
    q, k = (_numbers(t, window, num_prefix_tokens) for t in (pairs.q, pairs.k))
    q_at, k_at = entry_at(q, 1), entry_at(k, 1)

    def bias(batch, head, q_index, k_index):
        numbers = q_at(batch, q_index), k_at(batch, k_index)
        return bias_at(
            table, rows_of_pairs(jnp, *numbers, window, num_prefix_tokens), head
        )

    return bias


def _numbers(positions, window, num_prefix_tokens):
    numbers = jnp.asarray(numbers_of_places(window, num_prefix_tokens))
    return numbers.at[positions].get(mode="clip")


def _of_all_tokens(table, window, num_prefix_tokens, dtype):
    """The biases of all tokens, which the diagonals of all axes hold."""
    table = table.astype(compute_dtype(table.dtype)).T
    sizes, count = sizes_of(window), math.prod(window)
    axes = tuple(range(-len(sizes), 0))
    # Rows are numbered by the place of the query minus that of the key.
    places = jnp.flip(table[:, : math.prod(sizes)].reshape(-1, *sizes), axes)
    places = spread(places, window, window, dtype).reshape(-1, count, count)
    if not num_prefix_tokens:
        return places
    return _framed(places, table[:, -3:].astype(dtype), num_prefix_tokens)


def _framed(places, values, width):
    """A matrix with the lines of prefix tokens above it and on its left."""
    heads, count, _ = places.shape
    from_prefix, to_prefix, both = (values[:, n, None, None] for n in range(3))

    def block(value, rows, columns):
        return jnp.broadcast_to(value, (heads, rows, columns))

    above = [block(both, width, width), block(from_prefix, width, count)]
    below = [block(to_prefix, count, width), places]
    return jnp.concatenate([jnp.concatenate(line, -1) for line in (above, below)], -2)
