"""Products of queries with a key for tokens of one segment and one for others."""

from typing import Any, NamedTuple

import jax.numpy as jnp

from ..core.by_token import of_pair_at, of_pairs
from ..core.entries import entry_at


class Tokens(NamedTuple):
    """Vectors of tokens, `(*batch, num_heads, len, head_dim)`, and their segments."""

    vectors: Any
    segments: Any


def segment_products(x, keys, q, k, class_segment, precision):
    """Products `(*batch, num_heads, q_len, k_len)` with the key of each pair.

    `x` is `(*batch, num_heads, q_len, head_dim)` and `keys` are
    `(2, num_heads, head_dim)`: the first for pairs of one segment. The class segment is
    one with every other. `q.segments` and `k.segments` are those of the tokens.
    """
    products = _products(x, keys, precision)
    same = of_pairs(_rule(class_segment), (q.segments,), (k.segments,))
    return jnp.where(same[..., None, :, :], products[..., :1], products[..., 1:])


def segment_products_at(x, keys, q, k, class_segment, precision):
    """The same as a function of indices, `(batch, head, q_index, k_index)`."""
    products = entry_at(_products(x, keys, precision), 3)
    same = of_pair_at(_rule(class_segment), (q.segments,), (k.segments,))

    def at(batch, head, q_index, k_index):
        of_both = products(batch, head, q_index)
        is_same = same(batch, q_index, k_index)
        return jnp.where(is_same, of_both[..., 0], of_both[..., 1])

    return at


def _products(x, keys, precision):
    return jnp.einsum("...hqd,shd->...hqs", x, keys, precision=precision)


def _rule(class_segment):
    """The function of the segments of a query and a key that says if they are one."""

    def same(q, k):
        (q,), (k,) = q, k
        if class_segment is None:
            return q == k
        return (q == k) | (q == class_segment) | (k == class_segment)

    return same
