"""Biases of 0 at pairs with a class token, which stands at position 0 or before."""

import jax.numpy as jnp

from ..core.by_token import of_pair_at, of_pairs
from ..core.distances import of_rank


def zero_at_class_tokens(bias, pairs):
    """A bias `(*batch, num_heads, q_len, k_len)` with 0 at such pairs."""
    there = of_pairs(_of_class, (pairs.q,), (pairs.k,))
    there = of_rank(there[..., None, :, :], bias.ndim)
    return jnp.where(there, jnp.zeros_like(bias), bias)


def zero_at_class_tokens_at(bias, pairs):
    """The same of a function of indices, `(batch, head, q_index, k_index)`."""
    there = of_pair_at(_of_class, (pairs.q,), (pairs.k,))

    def at(batch, head, q_index, k_index):
        value = bias(batch, head, q_index, k_index)
        return jnp.where(there(batch, q_index, k_index), jnp.zeros_like(value), value)

    return at


def _of_class(q, k):
    return (q[0] <= 0) | (k[0] <= 0)
