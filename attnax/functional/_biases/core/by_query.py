"""Biases of all pairs, a few queries at a time."""

import jax
from jax import lax

# Queries whose intermediate values are held at once.
_QUERIES = 32


def map_queries(of_query, arrays):
    """`lax.map` over a leading axis of queries, a few of them at a time.

    Where only the program knows their number, it is one at a time.
    """
    known = isinstance(jax.tree.leaves(arrays)[0].shape[0], int)
    return lax.map(of_query, arrays, batch_size=_QUERIES if known else None)
