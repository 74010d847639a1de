"""Lookups of libraries, and as one writes them and their gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp

import attnax.functional as F

from .flax_param import with_param


def gather(weight, ids, dtype=None):
    return jnp.take(weight, ids, axis=0, mode="clip").astype(dtype or weight.dtype)


def lookup(weight, ids, dtype=None):
    params = F.TokenEmbeddingParams(weight=weight)
    return F.apply_token_embedding(params, ids, dtype=dtype)


def equinox_lookup(weight, ids, dtype):
    return jax.vmap(eqx.nn.Embedding(weight=weight))(ids).astype(dtype)


def flax_lookup(weight, ids, dtype):
    from flax import nnx

    dtypes = {"dtype": dtype, "param_dtype": weight.dtype}
    make = lambda rngs: nnx.Embed(*weight.shape, **dtypes, rngs=rngs)
    return with_param(make, "embedding", weight)(ids)


def torch_lookup(weight, ids, dtype):
    import torch

    rows = torch.nn.functional.embedding(ids, weight)
    return rows.to(getattr(torch, jnp.dtype(dtype).name))


def zeros_plus_rows(weight, ids, cotangent):
    """Zeros in the table's dtype plus the rows, which are rounded at every step."""
    rows = cotangent.astype(weight.dtype)
    return jnp.zeros_like(weight).at[ids].add(rows, mode="clip")


def sum_of_rows(weight, ids, cotangent):
    """Zeros in float32 plus the rows, cast to the table's dtype."""
    zeros = jnp.zeros(weight.shape, jnp.float32)
    rows = cotangent.astype(jnp.float32)
    return zeros.at[ids].add(rows, mode="clip").astype(weight.dtype)
