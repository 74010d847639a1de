"""Biases from a table whose rows are known for every pair."""

import jax.numpy as jnp

from .table import biases_at


def matrix_by_row(table, rows, dtype, *, factor=1.0):
    """The bias of every pair, `(*batch, num_heads, q_len, k_len)`, in `dtype`.

    `rows` are the rows of the table, `(*batch, q_len, k_len)`.
    """
    return jnp.moveaxis(factor * biases_at(table, rows), 0, -3).astype(dtype)
