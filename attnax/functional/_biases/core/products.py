"""Products of queries or keys with rows by distance, `q_i . rows[row of (i, j)]`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.custom_derivatives import SymbolicZero

from ...._dtypes import compute_dtype
from .by_distance import distance_at
from .copies import copies_of
from .diagonals import diagonals
from .distances import of_rank
from .entries import entry_at
from .spread import spread

# Tokens whose products are made at once, with the rows of every distance from them.
_BLOCK = 256
# Gradients of one row or product that are added up one after another.
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


def products_by_distance(x, rows, row_of, pairs, precision):
    """Products `(*batch, num_heads, q_len, k_len)` of queries and rows by distance.

    `row_of(distance)` is the index of the row of an int32 distance. An index of `n` or
    more, where there are `n` rows, is a product of 0.
    """
    return sum_of_products([Product(x, rows)], row_of, pairs, precision)


def sum_of_products(products, row_of, pairs, precision):
    """The same for the sum of products of queries and of keys."""
    products = _alike(products)
    if pairs.offset is not None:
        (q_len, k_len), num_rows = pairs.lengths, products[0].rows.shape[1]
        indices = row_of(pairs.diagonal_distances())
        indices = np.minimum(indices, num_rows).astype(np.int32)
        form = _gathered if num_rows < k_len + min(q_len, _BLOCK) else _banded
        return form(products, indices, pairs.lengths, precision)
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


def _gathered(products, indices, lengths, precision):
    """The sum of products, looked up in the products with every row.

    `indices` are those of the rows of diagonals. Tangents are made from the rows of
    diagonals, whose transpose is a product and no scatter.
    """
    sides = [product.of_keys for product in products]

    @jax.custom_jvp
    def gathered(arrays):
        q_len, k_len = lengths
        at = spread(jnp.asarray(indices), (q_len,), (k_len,), indices.dtype)
        terms = []
        for of_keys, (x, rows) in zip(sides, arrays, strict=True):
            rows, axis = jnp.pad(rows, ((0, 0), (0, 1), (0, 0))), -2 if of_keys else -1
            form = "...hnd,...hkd->...hnk" if of_keys else "...hnd,...hqd->...hqn"
            every = jnp.einsum(form, rows, x, precision=precision)
            of_pairs = jnp.broadcast_to(at, (*every.shape[:-2], *at.shape))
            mode = "promise_in_bounds"
            terms.append(jnp.take_along_axis(every, of_pairs, axis=axis, mode=mode))
        return sum(terms[1:], start=terms[0])

    def tangent(primals, tangents):
        parts = []
        for of_keys, (x, rows), (dx, drows) in zip(
            sides, *primals, *tangents, strict=True
        ):
            if not isinstance(dx, SymbolicZero):
                parts.append(Product(dx, rows, of_keys))
            if not isinstance(drows, SymbolicZero):
                parts.append(Product(x, drows, of_keys))
        return gathered(*primals), _banded(parts, indices, lengths, precision)

    gathered.defjvp(tangent, symbolic_zeros=True)
    return gathered([(product.x, product.rows) for product in products])


def _banded(products, indices, lengths, precision):
    """The sum of products with the rows of diagonals."""
    terms = []
    for x, rows, of_keys in products:
        rows = _rows_at(rows, indices)
        if of_keys:
            term = _band(x, jnp.flip(rows, 1), lengths[0], precision)
            terms.append(jnp.swapaxes(term, -1, -2))
        else:
            terms.append(_band(x, rows, lengths[1], precision))
    return sum(terms[1:], start=terms[0])


def _band(x, rows, length, precision):
    """The products `out[..., h, i, j] = x[..., h, i] . rows[h, x_len - 1 - i + j]`.

    A block of tokens meets the rows of its own distances alone.
    """
    x_len = x.shape[-2]
    blocks = []
    for start in range(0, x_len, _BLOCK):
        stop = min(start + _BLOCK, x_len)
        near = rows[:, x_len - stop : x_len - start + length - 1]
        product = jnp.einsum(
            "...hqd,hnd->...hqn", x[..., start:stop, :], near, precision=precision
        )
        blocks.append(diagonals(product, length))
    return jnp.concatenate(blocks, -2)


def _with_every_row(product, precision):
    """Products with each row and then 0, `(*batch, num_heads, len, n + 1)`."""
    rows = jnp.pad(product.rows, ((0, 0), (0, 1), (0, 0)))
    return jnp.einsum("...hqd,hnd->...hqn", product.x, rows, precision=precision)


def _rows_at(rows, indices):
    """The rows at known indices, `(num_heads, *indices, width)`, and 0 beyond them.

    The gradient of a row that many indices share is added up in chains, and their sums
    in chains again: one long sum would round too often.
    """
    beyond = rows.shape[1]
    chain = _places_among_equals(indices) // _CHAIN
    if not chain.any():
        return rows.at[:, indices].get(mode="fill", fill_value=0)
    chains, indices = np.unique(chain * (beyond + 1) + indices, return_inverse=True)
    return _rows_at(rows, chains % (beyond + 1))[:, indices]


def _places_among_equals(numbers):
    """How many equal numbers stand in front of each of `numbers`."""
    order = np.argsort(numbers, kind="stable")
    places = np.empty_like(order)
    places[order] = np.arange(len(order))
    return places - np.searchsorted(numbers[order], numbers)


def _alike(products):
    """Products of one dtype and rank, with rows of every head."""
    dtype = compute_dtype(*(a.dtype for p in products for a in (p.x, p.rows)))
    rank = max(product.x.ndim for product in products)

    def alike(product):
        x = of_rank(product.x, rank).astype(dtype)
        rows = jnp.broadcast_to(product.rows, (x.shape[-3], *product.rows.shape[1:]))
        return product._replace(x=x, rows=rows.astype(dtype))

    return [alike(product) for product in products]
