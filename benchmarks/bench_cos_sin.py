"""What do exact cos and sin cost, beside those of a float32 product?"""

from functools import partial

import jax.numpy as jnp

import attnax.functional as F

from ._harness import Group
from ._programs import Program


def of_a_product(positions, inv_freq):
    angle = positions.astype(jnp.float32)[:, None] * inv_freq
    return jnp.cos(angle), jnp.sin(angle)


def groups(quick):
    for name, seq_len, head_dim in (("8k", 8192, 128), ("one token", 1, 128)):
        positions = 1000 + jnp.arange(16 if quick else seq_len)
        inv_freq = F.rope_inv_freq(head_dim)
        exact = partial(F.rope_cos_sin, inv_freq=F.default_inv_freq(head_dim))
        yield Group(
            f"cos and sin, {name}",
            "cos, sin of a float32 product",
            {
                "limit": Program(of_a_product, (positions, inv_freq)),
                "attnax": Program(exact, (positions,)),
            },
            0.25 if seq_len > 1 else None,
            {"shape": (positions.size, head_dim // 2), "dtype": "float32"},
        )
