"""Products of queries with rows by distance, `q_i . rows[distance of j from i]`."""

import jax.numpy as jnp
from jax import lax

from .distances import of_rank

# Queries whose products are made at once, with the rows of every key and 128 more.
_BLOCK = 128


def products_by_distance(x, rows, row_of, pairs, precision):
    """Products `(*batch, num_heads, q_len, k_len)` of queries and rows by distance.

    `x` is `(*batch, num_heads, q_len, width)` and `rows` is `(num_heads, n, width)`, or
    `(1, n, width)` for every head. `row_of(distance)` is the index of the row of an
    int32 distance.
    """
    if pairs.offset is not None:
        rows = rows[:, row_of(pairs.diagonal_distances())]
        return banded_product(x, rows, precision)
    scores = jnp.einsum(
        "...hqd,hnd->...hqn", x, _per_head(rows, x), precision=precision
    )
    return products_at(scores, row_of(pairs.distances()))


def products_at(products, indices):
    """The products `out[..., h, i, j] = products[..., h, i, indices[..., i, j]]`.

    `products` are `(*batch, num_heads, q_len, n)` and `indices` are
    `(*batch, q_len or 1, k_len)`; batch axes broadcast.
    """
    indices = indices[..., None, :, :]
    rank = max(products.ndim, indices.ndim)
    products, indices = of_rank(products, rank), of_rank(indices, rank)
    if indices.size == indices.shape[-1]:
        return jnp.take(products, indices.reshape(-1), axis=-1, mode="clip")
    shape = jnp.broadcast_shapes(products.shape[:-1], indices.shape[:-1])
    indices = jnp.broadcast_to(indices, (*shape, indices.shape[-1]))
    products = jnp.broadcast_to(products, (*shape, products.shape[-1]))
    return jnp.take_along_axis(products, indices, axis=-1, mode="clip")


def product_at(products):
    """The function `(batch, head, q_index, n)` to an entry of products.

    `products` are `(*batch, num_heads, q_len, n)`.
    """
    if products.ndim == 3:
        return lambda batch, head, q_index, n: products[head, q_index, n]
    if products.shape[0] == 1:
        return lambda batch, head, q_index, n: products[0, head, q_index, n]
    return lambda batch, head, q_index, n: products[batch, head, q_index, n]


def banded_product(x, rows, precision):
    """The products `out[..., i, j] = x[..., i] . rows[..., q - 1 - i + j]`.

    `x` is `(*batch, num_heads, q, width)`, and `rows` is
    `(num_heads, q + k - 1, width)`. A block of queries meets the rows of its own
    distances alone.
    """
    q_len = x.shape[-2]
    k_len = rows.shape[-2] - q_len + 1
    rows = _per_head(rows, x)

    def of_head(x, rows):
        blocks = []
        for start in range(0, q_len, _BLOCK):
            stop = min(start + _BLOCK, q_len)
            near = rows[q_len - stop : q_len - start + k_len - 1]
            product = jnp.einsum(
                "...qd,nd->...qn", x[..., start:stop, :], near, precision=precision
            )
            blocks.append(_diagonals(product, k_len))
        return jnp.concatenate(blocks, -2)

    x = jnp.moveaxis(x, -3, 0)
    out = lax.map(lambda pair: of_head(*pair), (x, rows))
    return jnp.moveaxis(out, 0, -3)


def _diagonals(x, k_len):
    """Row `i` of `q` rows from column `q - 1 - i` on, `k_len` columns."""
    *batch, q_len, width = x.shape
    flat = x.reshape(*batch, q_len * width)[..., q_len - 1 :]
    flat = flat[..., : q_len * (width - 1)].reshape(*batch, q_len, width - 1)
    return flat[..., :k_len]


def _per_head(rows, x):
    return jnp.broadcast_to(rows, (x.shape[-3], *rows.shape[1:]))
