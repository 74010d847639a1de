"""Sums of codebooks, hashed tables and per-layer embeddings of transformers."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .fused_codebooks import codebooks
from .fused_hashes import hashes
from .fused_layers import layers


def records():
    yield from codebooks()
    yield from hashes()
    yield from layers()


def ours(record):
    """The result of attnax for the same inputs, as float32."""
    arrays, options = record.arrays, record.options
    dtype = jnp.dtype(options["dtype"])
    settings = dict(options["settings"])
    for name in ("accumulation_dtype", "scale_dtype"):
        if name in settings:
            settings[name] = jnp.dtype(settings[name])
    of_dtype = lambda *names: (jnp.asarray(arrays[name], dtype) for name in names)
    ids = arrays.get("ids")
    if options["function"] == "apply_fused_embedding":
        params = F.FusedEmbeddingParams(*of_dtype("weight"))
        apply, inputs = F.apply_fused_embedding, (ids,)
    else:
        params = F.PerLayerEmbeddingParams(
            *of_dtype("weight", "projection", "norm_scale")
        )
        apply, inputs = F.apply_per_layer_embedding, (ids, *of_dtype("x"))
    result = jax.jit(partial(apply, **settings))(params, *inputs)
    return np.asarray(result).astype(np.float32)


def tolerance(record):
    """Sums of a few terms below 4 in float32, in another order, and one rounding."""
    size = float(np.abs(record.arrays["expected"]).max())
    if record.options["function"] == "apply_fused_embedding":
        # In bfloat16 theirs and ours are rounded at the same places.
        exact = record.options["dtype"] == "bfloat16"
        return size * 2.0**-30 if exact else 8 * 4 * 2.0**-23
    # The product, its mean square and its root: some 20 float32 roundings. In bfloat16,
    # one of them at a tie moves a step by a unit, and two more round on.
    narrow = record.options["dtype"] == "bfloat16"
    return size * (3 * 2.0**-8 if narrow else 20 * 2.0**-23)
