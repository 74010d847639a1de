"""Products of queries or keys with rows by distance, `q_i . rows[row of (i, j)]`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...._dtypes import compute_dtype
from .by_distance import distance_at
from .copies import copies_of
from .distances import of_rank
from .entries import entry_at
from .known_products import Diagonals, known_products, with_zero_row

# Gradients of one product that are added up one after another.
_CHAIN = 64


class Product(NamedTuple):
    """Vectors of tokens, and the rows whose products with them are a bias.

    Attributes:
        x: Vectors of queries, `(*batch, num_heads, q_len, width)`, or of keys,
            `(*batch, num_heads, k_len, width)`.
        rows: One row for each class of distances, `(num_heads, n, width)`, or
            `(1, n, width)` for every head.
        of_keys: Whether `x` are of the keys.
    """

    x: Any
    rows: Any
    of_keys: bool = False


def products_by_distance(x, rows, row_of, pairs, precision, transposable=False):
    """Products `(*batch, num_heads, q_len, k_len)` of queries and rows by distance.

    `row_of(distance)` is the index of the row of an int32 distance. An index of `n` or
    more, where there are `n` rows, is a product of 0. `transposable` is for callers
    that transpose the function of `x` and do not differentiate it.
    """
    products = [Product(x, rows)]
    return sum_of_products(products, row_of, pairs, precision, transposable)


def sum_of_products(products, row_of, pairs, precision, transposable=False):
    """The same for the sum of products of queries and of keys."""
    products = _alike(products)
    if pairs.offset is not None:
        num_rows = products[0].rows.shape[1]
        of_diagonals = np.minimum(row_of(pairs.diagonal_distances()), num_rows)
        diagonals = Diagonals(of_diagonals.astype(np.int32), pairs.lengths, precision)
        return known_products(products, diagonals, transposable)
    indices = row_of(pairs.distances())
    terms = []
    for product in products:
        every = _with_every_row(product, precision)
        if product.of_keys:
            term = products_at(every, jnp.swapaxes(indices, -1, -2))
            terms.append(jnp.swapaxes(term, -1, -2))
        else:
            terms.append(products_at(every, indices))
    return sum(terms[1:], start=terms[0])


def sum_of_products_at(products, row_of, pairs, precision):
    """The sum as a function from indices: `(batch, head, q_index, k_index)`."""
    products, distance = _alike(products), distance_at(pairs)
    entries = [entry_at(_with_every_row(p, precision), 3) for p in products]

    def at(batch, head, q_index, k_index):
        row = row_of(distance(batch, q_index, k_index))
        terms = [
            entry(batch, head, k_index if product.of_keys else q_index, row)
            for product, entry in zip(products, entries, strict=True)
        ]
        return sum(terms[1:], start=terms[0])

    return at


def products_at(products, indices):
    """The products `out[..., h, i, j] = products[..., h, i, indices[..., i, j]]`.

    `products` are `(*batch, num_heads, q_len, n)` and `indices` are
    `(*batch, q_len or 1, k_len)`; batch axes broadcast. The gradient of a product that
    many keys share is added up in chains of keys, and these in pairs; where only the
    program knows the number of keys, it is one sum.
    """
    count, size = indices.shape[-1], _chain_of(products.shape[-1])
    if not isinstance(count, int) or count <= size:
        return _entries(products, indices)
    chains = -(-count // size)
    pads = [(0, 0)] * (indices.ndim - 1) + [(0, chains * size - count)]
    indices = jnp.pad(indices, pads).reshape(*indices.shape[:-1], chains, size)
    indices = jnp.moveaxis(indices, -2, 0)
    taken = jax.vmap(_entries)(copies_of(products, chains), indices)
    taken = jnp.moveaxis(taken, 0, -2)
    return taken.reshape(*taken.shape[:-2], chains * size)[..., :count]


def _chain_of(num_rows):
    """The number of keys in a chain: more for many rows, lest their copies be many."""
    return max(_CHAIN, num_rows) if isinstance(num_rows, int) else _CHAIN


def _entries(products, indices):
    indices = indices[..., None, :, :]
    rank = max(products.ndim, indices.ndim)
    products, indices = of_rank(products, rank), of_rank(indices, rank)
    if all(n == 1 for n in indices.shape[:-1]):
        return jnp.take(products, indices.reshape(-1), axis=-1, mode="clip")
    shape = jnp.broadcast_shapes(products.shape[:-1], indices.shape[:-1])
    indices = jnp.broadcast_to(indices, (*shape, indices.shape[-1]))
    products = jnp.broadcast_to(products, (*shape, products.shape[-1]))
    return jnp.take_along_axis(products, indices, axis=-1, mode="clip")


def _with_every_row(product, precision):
    """Products with each row and then 0, `(*batch, num_heads, len, n + 1)`."""
    rows = with_zero_row(product.rows)
    return jnp.einsum("...hqd,hnd->...hqn", product.x, rows, precision=precision)


def _alike(products):
    """Products of one dtype and rank, with rows of every head."""
    dtype = compute_dtype(*(a.dtype for p in products for a in (p.x, p.rows)))
    rank = max(product.x.ndim for product in products)

    def alike(product):
        x = of_rank(product.x, rank).astype(dtype)
        rows = jnp.broadcast_to(product.rows, (x.shape[-3], *product.rows.shape[1:]))
        return product._replace(x=x, rows=rows.astype(dtype))

    return [alike(product) for product in products]
