"""Attention with a bias in float64, from its definition."""

import numpy as np


def weights(q, k, bias, *, scale, mask=True):
    """`(batch, heads, queries, keys)`; a group of heads of `q` shares one of `k`."""
    q, k, bias = (np.asarray(t, np.float64) for t in (q, k, bias))
    k = np.repeat(k, q.shape[2] // k.shape[2], 2)
    scores = np.einsum("bqhc,bkhc->bhqk", q, k) * scale + bias
    scores = np.where(mask, scores, -np.inf)
    made = np.exp(scores - scores.max(-1, keepdims=True))
    return made / made.sum(-1, keepdims=True)


def attention(q, k, v, bias, *, scale, mask=True):
    """The values of each head, weighted: `(batch, queries, heads, width)`."""
    v = np.repeat(np.asarray(v, np.float64), q.shape[2] // v.shape[2], 2)
    made = weights(q, k, bias, scale=scale, mask=mask)
    return np.einsum("bhqk,bkhc->bqhc", made, v)
