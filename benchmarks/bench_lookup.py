"""How far from a gather is a lookup, and its gradient from a sum of rows?"""

import equinox as eqx
import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from ._harness import Group
from ._programs import Program

SIZES = (
    ("32k x 128", 32_000, 128),
    ("GPT-2, 50k x 768 (above 32 MiB)", 50_257, 768),
)


def gather(weight, ids):
    return jnp.take(weight, ids, axis=0, mode="clip")


def lookup(weight, ids):
    return F.apply_token_embedding(F.TokenEmbeddingParams(weight=weight), ids)


def equinox_lookup(weight, ids):
    return jax.vmap(eqx.nn.Embedding(weight=weight))(ids)


def sum_of_rows(weight, ids, cotangent):
    """Zeros in float32 plus the rows, cast to the table's dtype."""
    zeros = jnp.zeros(weight.shape, jnp.float32)
    rows = cotangent.astype(jnp.float32)
    return zeros.at[ids].add(rows, mode="clip").astype(weight.dtype)


def pullback(function):
    def backward(weight, ids, cotangent):
        return jax.vjp(lambda w: function(w, ids), weight)[1](cotangent)

    return backward


def groups(quick):
    for size, vocab_size, d_model in SIZES:
        vocab_size = 100 if quick else vocab_size
        for dtype in (jnp.float32, jnp.bfloat16):
            name = jnp.dtype(dtype).name
            weight = cases.normal(0, (vocab_size, d_model), dtype)
            count = 16 if quick else 8192
            ids = jax.random.randint(jax.random.key(1), (count,), 0, vocab_size)
            cotangent = cases.normal(2, (count, d_model), dtype)
            meta = {"shape": weight.shape, "dtype": name}
            yield Group(
                f"lookup {size}, 8k tokens, {name}",
                "gather",
                {
                    "limit": Program(gather, (weight, ids)),
                    "attnax": Program(lookup, (weight, ids)),
                    "equinox.nn": Program(equinox_lookup, (weight, ids)),
                },
                1.2,
                meta,
            )
            args = (weight, ids, cotangent)
            yield Group(
                f"lookup {size}, 8k tokens, {name}, gradient",
                "float32 zeros plus rows",
                {
                    "limit": Program(sum_of_rows, args),
                    "attnax": Program(pullback(lookup), args),
                    "equinox.nn": Program(pullback(equinox_lookup), args),
                },
                1.2,
                meta,
            )
