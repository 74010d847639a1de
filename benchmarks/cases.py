"""Sizes of named models. Arrays stay below 32 MiB unless the name says otherwise.

Above that, XLA's CPU backend takes fresh pages from the system at every allocation, and
a ratio measures page faults.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp


@dataclass(frozen=True)
class Heads:
    """Queries `(batch, seq_len, num_heads, head_dim)`, of which `rotary_dim` rotate."""

    name: str
    shape: tuple[int, int, int, int]
    rotary_dim: int
    layout: str = "half"


# Sizes from the models' `config.json`; the lengths make 16 MiB in float32.
LLAMA = Heads("Llama-3-8B", (1, 1024, 32, 128), 128)
LLAMA_META = Heads("Llama-3-8B (Meta)", (1, 1024, 32, 128), 128, "interleaved")
NEOX = Heads("GPT-NeoX-20B, 1/4 rotary", (1, 682, 64, 96), 24)
GPT_J = Heads("GPT-J-6B, 1/4 rotary", (1, 1024, 16, 256), 64, "interleaved")
DECODE = Heads("Llama-3-8B decode", (8, 1, 32, 128), 128)


def normal(seed, shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)


def heads(case, dtype, quick):
    """`x` of 16 MiB in either dtype, and cos and sin that broadcast against it."""
    batch, seq_len, num_heads, head_dim = case.shape
    if seq_len > 1:
        seq_len = 16 if quick else seq_len * 4 // jnp.dtype(dtype).itemsize
    x = normal(0, (batch, seq_len, num_heads, head_dim), dtype)
    angles = normal(1, (batch, seq_len, 1, case.rotary_dim // 2))
    return x, jnp.cos(angles), jnp.sin(angles)


def copy(x):
    """As fast as memory goes: reads an array and writes one of its size."""
    return x * jnp.asarray(1.0078125, x.dtype)  # a factor that XLA cannot drop
