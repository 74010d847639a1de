"""Products of queries with the rows of a table for each axis of a grid."""

import jax.numpy as jnp
import numpy as np

from ..core.distances import of_rank
from ..core.products import products_at


def row_of_distance(q_side, k_side):
    """The row of each pair of places of an axis, `(q_side, k_side)`, exactly.

    Where the sides differ, the longer one steps by 1 and the shorter one further; the
    fraction that is left is dropped. Released code takes float32 for it, which is wrong
    at some sizes neither of which divides the other.
    """
    longer = max(q_side, k_side)
    queries = np.arange(q_side)[:, None] * (longer * k_side)
    keys = (k_side - 1 - np.arange(k_side)) * (longer * q_side)
    return ((queries + keys) // (q_side * k_side)).astype(np.int32)


def coordinates_of(positions, grid, num_prefix_tokens):
    """Which positions stand on a grid, and their coordinate along each of its axes."""
    places = np.indices(grid).reshape(len(grid), -1)
    places = np.pad(places, ((0, 0), (num_prefix_tokens, 0))).astype(np.int32)
    along = [jnp.asarray(axis).at[positions].get(mode="clip") for axis in places]
    return positions >= num_prefix_tokens, along


def axis_products(bias, tables, pairs, content):
    """The products of queries, `(*batch, num_heads, q_len, k_side)` for each axis.

    The last axis stands for the places of keys. Products of prefix tokens are zero.
    """
    rows = [row_of_distance(*s) for s in zip(bias.q_grid, bias.k_grid, strict=True)]
    q = content.q.astype(tables[0].dtype)
    if pairs.first_q == 0 and pairs.lengths[0] == bias.num_queries:
        return [
            _of_all_queries(bias, axis, table[row], q, content.precision)
            for axis, (table, row) in enumerate(zip(tables, rows, strict=True))
        ]
    on_grid, along = coordinates_of(pairs.q, bias.q_grid, bias.num_prefix_tokens)
    on_grid = on_grid[..., None, :, None]
    made = []
    for table, row, coordinates in zip(tables, rows, along, strict=True):
        products = jnp.einsum(
            "...hqd,nd->...hqn", q, table, precision=content.precision
        )
        products = products_at(products, jnp.asarray(row)[coordinates])
        if bias.num_prefix_tokens:
            there = of_rank(on_grid, products.ndim)
            products = jnp.where(there, products, jnp.zeros_like(products))
        made.append(products)
    return made


def _of_all_queries(bias, axis, rows, q, precision):
    """Products of all queries in order; `rows` are `(q_side, k_side, head_dim)`."""
    prefix, letters = bias.num_prefix_tokens, "xyz"[: len(bias.q_grid)]
    *lead, count, head_dim = q.shape
    q = q[..., prefix:, :].reshape(*lead, *bias.q_grid, head_dim)
    subscripts = f"...{letters}d,{letters[axis]}kd->...{letters}k"
    made = jnp.einsum(subscripts, q, rows, precision=precision)
    made = made.reshape(*lead, count - prefix, bias.k_grid[axis])
    return jnp.pad(made, [(0, 0)] * len(lead) + [(prefix, 0), (0, 0)])
