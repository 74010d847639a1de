"""Products with the rows of known distances: all pairs of a diagonal share a row."""

import functools
import math
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.custom_derivatives import SymbolicZero

from ...._checks import exceeds
from .diagonals import matrix_of_band
from .spread import spread

# Tokens whose products are made at once, with the rows of every distance from them.
_BLOCK = 256
# The most keys that queries meet one after another, or queries that keys meet so.
_FEW = 8
# Gradients of one row that are added up one after another.
_CHAIN = 64
# Pairs of all heads beyond which heads follow each other. Products need temporary
# arrays of one to two times the size of their result.
_MOST_AT_ONCE = 2**26


@dataclass(frozen=True, eq=False)
class Diagonals:
    """The row of each diagonal, hashable so that programs are compiled once.

    Attributes:
        rows: Index of the row of each diagonal, int32, `(q_len + k_len - 1,)`. The
            first is that of the last query and the first key. Where there are `n`
            rows, `n` stands for a row of zeros.
        lengths: Number of queries and of keys.
        precision: Precision of matrix products.
    """

    rows: np.ndarray
    lengths: tuple[int, int]
    precision: Any

    @property
    def _key(self):
        return self.rows.tobytes(), self.lengths, self.precision

    def __eq__(self, other):
        return isinstance(other, Diagonals) and self._key == other._key

    def __hash__(self):
        return hash(self._key)


def known_products(products, diagonals, transposable=False):
    """The sum of products of every pair, `(*batch, num_heads, q_len, k_len)`.

    It is linear in the vectors of a product and in its rows. Where it is to be
    transposed and not differentiated, `transposable` must be true.
    """
    of_keys = [product.of_keys for product in products]

    def of_heads(arrays):
        terms = [
            _matrix(x, rows, diagonals, keys, transposable)
            for (x, rows), keys in zip(arrays, of_keys, strict=True)
        ]
        return sum(terms[1:], start=terms[0])

    arrays = [(product.x, product.rows) for product in products]
    sizes = [math.prod((*x.shape[:-2], *diagonals.lengths)) for x, _ in arrays]
    if not any(exceeds(size, _MOST_AT_ONCE) for size in sizes):
        return of_heads(arrays)
    by_head = [(jnp.moveaxis(x, -3, 0)[..., None, :, :], r[:, None]) for x, r in arrays]
    return jnp.moveaxis(lax.map(of_heads, by_head).squeeze(-3), 0, -3)


def _matrix(x, rows, diagonals, of_keys, transposable):
    own, others = reversed(diagonals.lengths) if of_keys else diagonals.lengths
    # A token meets either each row or, in a block of tokens, each of its diagonals.
    few = rows.shape[1] < others + min(own, _BLOCK)
    form = _looked_up if few and not transposable else _banded
    return form(x, rows, diagonals, of_keys)


@functools.partial(jax.custom_jvp, nondiff_argnums=(2, 3))
def _looked_up(x, rows, diagonals, of_keys):
    """Products with every row, each looked up by its pairs.

    Derivatives are products with the rows of diagonals, whose gradients for the vectors
    need no scatter.
    """
    return _by_platform(x, rows, diagonals, of_keys)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _by_platform(x, rows, diagonals, of_keys):
    settings = {"diagonals": diagonals, "of_keys": of_keys}
    # Only CPUs were measured. Lookups of single numbers are slow on TPUs.
    return lax.platform_dependent(
        x,
        rows,
        cpu=functools.partial(_entries, **settings),
        default=functools.partial(_banded, **settings),
    )


def _derivative(diagonals, of_keys, primals, tangents):
    (x, rows), (dx, drows) = primals, tangents
    terms = [
        _banded(*factors, diagonals, of_keys)
        for factors, tangent in (((dx, rows), dx), ((x, drows), drows))
        if not isinstance(tangent, SymbolicZero)
    ]
    return _looked_up(x, rows, diagonals, of_keys), sum(terms[1:], start=terms[0])


_looked_up.defjvp(_derivative, symbolic_zeros=True)


def _entries(x, rows, diagonals, of_keys):
    q_len, k_len = diagonals.lengths
    at = spread(jnp.asarray(diagonals.rows), (q_len,), (k_len,), np.dtype(np.int32))
    # Products of keys with the keys last, so that no matrix is transposed.
    axis, form = (-2, "hnd,...hkd->...hnk") if of_keys else (-1, "hnd,...hqd->...hqn")
    products = jnp.einsum(form, with_zero_row(rows), x, precision=diagonals.precision)
    at = jnp.broadcast_to(at, (*products.shape[:-2], *at.shape))
    mode = "promise_in_bounds"
    return jnp.take_along_axis(products, at, axis=axis, mode=mode)


def with_zero_row(rows):
    """The rows, and one of zeros beyond them, for pairs without a row."""
    return jnp.pad(rows, ((0, 0), (0, 1), (0, 0)))


def _banded(x, rows, diagonals, of_keys):
    """Products with the rows of diagonals, a block of tokens with those of its own."""
    rows = _rows_at(rows, diagonals.rows)
    if of_keys:
        rows = jnp.flip(rows, 1)  # the last key has the first distance of a query
    others = diagonals.lengths[0 if of_keys else 1]
    form = _by_other_token if others <= _FEW else _by_block
    matrix = form(x, rows, others, diagonals.precision)
    return jnp.swapaxes(matrix, -1, -2) if of_keys else matrix


def _by_block(x, rows, others, precision):
    """The products `out[..., h, i, j] = x[..., h, i] . rows[h, x_len - 1 - i + j]`."""
    x_len, blocks = x.shape[-2], []
    for start in range(0, x_len, _BLOCK):
        stop = min(start + _BLOCK, x_len)
        near = rows[:, x_len - stop : x_len - start + others - 1]
        product = jnp.einsum(
            "...hqd,hnd->...hqn", x[..., start:stop, :], near, precision=precision
        )
        blocks.append(matrix_of_band(product, others))
    return jnp.concatenate(blocks, -2)


def _by_other_token(x, rows, others, precision):
    """The same for few others: a block would meet many more rows than it needs."""
    x_len = x.shape[-2]
    columns = [
        jnp.einsum(
            "...hqd,hqd->...hq",
            x,
            jnp.flip(rows[:, other : other + x_len], 1),
            precision=precision,
        )
        for other in range(others)
    ]
    return jnp.stack(columns, -1)


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
