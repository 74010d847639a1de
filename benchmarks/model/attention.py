"""Causal attention of grouped heads in plain JAX: over a sequence, and with a cache."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from .. import cases
from .rotations import one_token


class Sizes(NamedTuple):
    """Sizes of an attention block."""

    d_model: int
    num_heads: int
    num_kv_heads: int
    head_dim: int


class Weights(NamedTuple):
    """Projections to queries, keys and values, and from the heads back."""

    q: jax.Array
    k: jax.Array
    v: jax.Array
    out: jax.Array


class Cache(NamedTuple):
    """Keys and values `(batch, max_len, num_kv_heads, head_dim)` of earlier tokens."""

    k: jax.Array
    v: jax.Array


def init_weights(seed, sizes, dtype):
    """Draws weights whose variance keeps the scale of `x`."""
    d_model, *heads, head_dim = sizes
    of_heads = [(d_model, count, head_dim) for count in (*heads, heads[1])]
    inputs = [cases.normal(seed + i, s, dtype) for i, s in enumerate(of_heads)]
    out = cases.normal(seed + 3, (heads[0], head_dim, d_model), dtype)
    inner = heads[0] * head_dim
    return Weights(*(w / d_model**0.5 for w in inputs), out / inner**0.5)


def heads_of(sizes, batch, seq_len, dtype, seed=7):
    """Queries and keys as they come from the projections."""
    counts = (sizes.num_heads, sizes.num_kv_heads)
    shapes = [(batch, seq_len, count, sizes.head_dim) for count in counts]
    return [cases.normal(seed + i, shape, dtype) for i, shape in enumerate(shapes)]


def attention(weights, x, where, turn):
    """`x`: `(batch, seq_len, d_model)`; queries and keys go through `turn`."""
    q, k, v = (jnp.einsum("bsm,mhd->bshd", x, w) for w in weights[:3])
    q, k = turn(q, where), turn(k, where)
    mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
    return jnp.einsum("bshd,hdm->bsm", mixed, weights.out)


def cached_attention(weights, cache, x, position, where, turn):
    """One token at `position`; its rotated key and its value go into the cache."""
    q, k, v = (jnp.einsum("bsm,mhd->bshd", x, w) for w in weights[:3])
    q, k = turn(q, where), turn(k, where)
    at = (0, position, 0, 0)
    cache = Cache(
        lax.dynamic_update_slice(cache.k, k, at),
        lax.dynamic_update_slice(cache.v, v, at),
    )
    seen = jnp.full(x.shape[:1], position + 1)
    mixed = jax.nn.dot_product_attention(q, *cache, key_value_seq_lengths=seen)
    return cache, jnp.einsum("bshd,hdm->bsm", mixed, weights.out)


def decode(step):
    """Tokens one after the other, so that the cache is written in place.

    A program of one token would copy the cache, since what is timed again and again
    cannot give its arguments away.
    """

    def function(params, cache, inputs, positions, where):
        def one(cache, xs):
            token, position, where = xs
            return step(params, cache, token, position, one_token(where))

        return lax.scan(one, cache, (inputs, positions, where))[1]

    return function
