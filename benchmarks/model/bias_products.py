"""Products with what a distance has: attnax's, and those of other libraries.

Each function returns a name, the programs of queries, keys and parameters, and the
parameters.
"""

import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .. import cases
from ..rivals.bias import by_row, shifted


def keys_by_distance(quick, heads, length, width):
    """A key for each clipped distance, as in wav2vec2-BERT."""
    left = length // 2
    bias = F.RelativeKeyBias(heads, width, left=left, right=left, factor=1.0)
    keys = cases.normal(3, (2 * left + 1, width))
    span = np.arange(length)
    rows = np.clip(span - span[:, None], -left, left) + left
    diagonals = np.clip(np.arange(1 - length, length), -left, left) + left

    def ours(q, k, keys):
        params = F.RelativeKeyParams(keys=keys)
        return F.apply_position_bias(bias, params, span, span, q=q)

    def shift(q, k, keys):
        shape = heads, 2 * length - 1, width
        return shifted(jnp.moveaxis(q, 1, 0), jnp.broadcast_to(keys[diagonals], shape))

    gather = lambda q, k, keys: by_row(q, jnp.repeat(keys[:, None], heads, 1), rows)
    functions = {
        "attnax": ours,
        "shift with copies": shift,
        "gather of products": gather,
    }
    return "keys by distance", functions, (keys,)


def sinusoids(quick, heads, length, width):
    """Projected sinusoids of the distance, as in Transformer-XL."""
    d_model = heads * width
    bias = F.TransformerXLBias(
        heads, width, d_model, layout="sin_cos", key_term=False, factor=1.0
    )
    weight = cases.normal(3, (heads, width, d_model)) / d_model**0.5
    v, span = cases.normal(4, (heads, width)), np.arange(length)

    def ours(q, k, weight, v):
        params = F.TransformerXLBiasParams(weight=weight, v=v)
        return F.apply_position_bias(bias, params, span, span, q=q)

    def shift(q, k, weight, v):
        distances = jnp.arange(length - 1, -length, -1, dtype=jnp.float32)
        frequencies = 10_000.0 ** (-jnp.arange(0, d_model, 2) / d_model)
        angles = distances[:, None] * frequencies
        waves = jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)
        keys = jnp.einsum("hcd,nd->hnc", weight, waves)
        return shifted(jnp.moveaxis(q + v, 1, 0), keys)

    functions = {"attnax": ours, "shift with copies": shift}
    scheme = "sinusoids of the distance" + ("" if quick else ", as in XLNet-base")
    return scheme, functions, (weight, v)


def disentangled(quick, heads, length, width):
    """Queries and keys meet rows of a table, as in DeBERTa."""
    buckets, most = (4, 10) if quick else (256, 512)
    bias = F.DisentangledBias(
        heads, width, max_distance=most, num_buckets=buckets, factor=1.0
    )
    tables = [cases.normal(seed, (bias.num_rows, heads, width)) for seed in (3, 4)]
    span = np.arange(length)
    rows = F.disentangled_bucket(
        span - span[:, None], num_buckets=buckets, max_distance=most
    )

    def ours(q, k, keys, queries):
        params = F.DisentangledParams(keys=keys, queries=queries)
        return F.apply_position_bias(bias, params, span, span, q=q, k=k)

    def gather(q, k, keys, queries):
        return by_row(q, keys, rows) + by_row(k, queries, rows.T).swapaxes(1, 2)

    functions = {"attnax": ours, "gather of products": gather}
    scheme = "products of both sides" + ("" if quick else ", as in DeBERTa-v3-base")
    return scheme, functions, tables
