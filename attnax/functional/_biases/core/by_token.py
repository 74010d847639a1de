"""What depends on numbers of the query and of the key: segments, sides of boxes."""

import jax.numpy as jnp

from .distances import of_rank
from .entries import entry_at


def of_pairs(rule, q, k):
    """`rule` of every query and every key, `(*batch, q_len, k_len)`.

    `q` and `k` are tuples of arrays with one number for each token, `(*batch, len)`,
    whose batch axes broadcast; `rule` takes two such tuples.
    """
    rank = max(x.ndim for x in (*q, *k))
    q = tuple(of_rank(x, rank)[..., :, None] for x in q)
    k = tuple(of_rank(x, rank)[..., None, :] for x in k)
    return rule(q, k)


def of_pair_at(rule, q, k):
    """The same, as a function of a batch index and the indices of a pair."""
    q, k = (tuple(entry_at(jnp.asarray(x), 1) for x in part) for part in (q, k))

    def at(batch, q_index, k_index):
        of_q = tuple(x(batch, q_index) for x in q)
        return rule(of_q, tuple(x(batch, k_index) for x in k))

    return at


def with_batch_of(pairs, biases):
    """Biases `(*batch, num_heads, q_len, k_len)` with the batch axes of `pairs` too."""
    shape = (*pairs.batch, *biases.shape[-3:])
    return jnp.broadcast_to(biases, jnp.broadcast_shapes(shape, biases.shape))
