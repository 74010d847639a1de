"""Causal attention that never holds the scores of all pairs.

It is what fused kernels do, in plain JAX: the queries of a block meet all keys, and the
next block follows when this one is done. A kernel of this kind adds no bias, or calls a
function of the scores of a block.
"""

import jax
import jax.numpy as jnp
from jax import lax


def attention(q, k, v, scale, block, score_mod=None):
    """Attention of `(length, num_heads, width)`, block by block of the queries.

    `score_mod(scores, start)` gets the scores of the queries from `start` on,
    `(num_heads, block, length)`, and returns others.
    """
    length, heads, width = q.shape
    q = q.reshape(length // block, block, heads, width)
    k_index = jnp.arange(length)

    def of_block(queries_and_start):
        queries, start = queries_and_start
        scores = scale * jnp.einsum("qhc,khc->hqk", queries, k)
        if score_mod is not None:
            scores = score_mod(scores, start)
        visible = k_index <= start + jnp.arange(block)[:, None]
        scores = jnp.where(visible, scores, jnp.finfo(scores.dtype).min)
        return jnp.einsum("hqk,khc->qhc", jax.nn.softmax(scores), v)

    starts = jnp.arange(0, length, block)
    return lax.map(of_block, (q, starts)).reshape(length, heads, v.shape[-1])
