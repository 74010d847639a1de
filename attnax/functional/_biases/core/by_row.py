"""Biases from a table whose rows are known for every pair."""

import jax.numpy as jnp

from .table import biases_at


def matrix_by_row(table, rows, dtype, *, factor=1.0):
    """The bias of every pair, `(*batch, num_heads, q_len, k_len)`, in `dtype`.

    `rows` are the rows of the table, `(*batch, q_len, k_len)`.
    """
    return jnp.moveaxis(factor * biases_at(table, rows), 0, -3).astype(dtype)


def row_at(rows):
    """The function from a batch index and the indices of a pair to its row."""
    if rows.ndim == 2:
        return lambda batch, q_index, k_index: rows[q_index, k_index]
    if rows.shape[0] == 1:
        return lambda batch, q_index, k_index: rows[0, q_index, k_index]
    return lambda batch, q_index, k_index: rows[batch, q_index, k_index]
