"""Several tables in one array, as one writes their lookup and as models have them."""

import jax.numpy as jnp
import numpy as np

import attnax.functional as F


def rows_and_sum(weight, ids, counts):
    """One gather of all rows, and their sum in float32."""
    offsets = np.cumsum([0, *counts[:-1]], dtype=np.int32)[None]
    rows = jnp.take(weight, ids + offsets, axis=0, mode="clip")
    return rows.astype(jnp.float32).sum(-2).astype(weight.dtype)


def lookup_and_sum(weight, ids, counts):
    params = F.FusedEmbeddingParams(weight=weight)
    return F.apply_fused_embedding(params, ids, row_counts=counts)


def table_by_table(weight, ids, counts):
    """A lookup for each table and a running sum, as most models are written."""
    tables = jnp.split(weight[: sum(counts)], np.cumsum(counts)[:-1])
    total = 0.0
    for k, table in enumerate(tables):
        total = total + jnp.take(table, ids[..., k], axis=0, mode="clip")
    return total


def torch_sum(weight, ids, counts):
    import torch

    offsets = torch.tensor(np.cumsum([0, *counts[:-1]]))
    rows = torch.nn.functional.embedding(ids + offsets, weight)
    return rows.float().sum(-2).to(weight.dtype)


def quantized(weight, scale, ids):
    params = F.QuantizedTableParams(weight=weight, scale=scale)
    return F.apply_quantized_embedding(params, ids, dtype=jnp.bfloat16)


def cast_by_jax(weight, scale, ids):
    """The same rows, where XLA chooses how to gather 8-bit floats."""
    rows = jnp.take(weight, ids, axis=0, mode="clip").astype(jnp.float32)
    scales = jnp.take(scale, ids, axis=0, mode="clip").astype(jnp.float32)
    blocks = rows.reshape(*scales.shape, -1) * scales[..., None]
    return blocks.reshape(rows.shape).astype(jnp.bfloat16)
