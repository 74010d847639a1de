"""Sizes of named models. Arrays stay below 32 MiB unless the name says otherwise.

From there on an allocator takes fresh pages from the system at every call, unless it is
told not to (`keep_pages`), and a ratio measures page faults.
"""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp

import attnax.functional as F


@dataclass(frozen=True)
class Heads:
    """Queries of a model, in which `rotary_dim` channels rotate, from `start` on.

    Keys of `num_kv_heads` come with them if that is not zero. `transformers` is the
    function there that rotates them, as module and name.
    """

    name: str
    shape: tuple[int, int, int, int]  # batch, seq_len, num_heads, head_dim
    rotary_dim: int
    layout: str = "half"
    start: int = 0
    num_kv_heads: int = 0
    heads_first: bool = False  # arrays are (batch, num_heads, seq_len, head_dim)
    transformers: str | None = None

    def per_head(self, table):
        """`(batch, seq_len, ...)` with the axis of the heads inserted."""
        return jnp.expand_dims(table, 1 if self.heads_first else 2)


# Sizes from the models' `config.json`; the lengths make 16 MiB of queries in float32.
# All are one sequence, as in prefill, but for those that say otherwise.
APPLY = "apply_rotary_pos_emb"
LLAMA = Heads("Llama-3-8B", (1, 1024, 32, 128), 128, transformers=f"llama.{APPLY}")
LLAMA_META = replace(
    LLAMA,
    name="Llama-3-8B (Meta)",
    layout="interleaved",
    transformers="llama4.apply_rotary_emb",
)
LLAMA_FIRST = replace(LLAMA, name="Llama-3-8B, heads first", heads_first=True)
LLAMA_META_FIRST = replace(
    LLAMA_META,
    name="Llama-3-8B (Meta), heads first",
    heads_first=True,
    transformers=f"cohere.{APPLY}",
)
LLAMA_KEYS = replace(LLAMA, name="Llama-3-8B queries and keys", num_kv_heads=8)
LLAMA_1B = Heads(
    "Llama-3.2-1B, training on 4 sequences",
    (4, 512, 32, 64),
    64,
    transformers=f"llama.{APPLY}",
)
QWEN_VISION = Heads(
    "Qwen2-VL's vision tower",
    (1, 3276, 16, 80),
    80,
    transformers=f"qwen2_vl.{APPLY}_vision",
)
PHI = Heads("Phi-3-mini", (1, 1365, 32, 96), 96, transformers=f"phi3.{APPLY}")
GEMMA = Heads("Gemma-2B", (1, 2048, 8, 256), 256, transformers=f"gemma.{APPLY}")
NEOX = Heads(
    "GPT-NeoX-20B, 1/4 rotary",
    (1, 682, 64, 96),
    24,
    transformers=f"gpt_neox.{APPLY}",
)
GPT_J = Heads("GPT-J-6B, 1/4 rotary", (1, 1024, 16, 256), 64, "interleaved")
DEEPSEEK = Heads(
    "DeepSeek-V3, last 1/3 rotary", (1, 170, 128, 192), 64, "interleaved", start=128
)
DECODE = replace(LLAMA_KEYS, name="Llama-3-8B decode", shape=(8, 1, 32, 128))


def unnamed(case):
    """Returns a case for a tiny run, named for its heads and for no model."""
    _, _, num_heads, head_dim = case.shape
    parts = [f"{num_heads} heads of {head_dim}"]
    if case.num_kv_heads:
        parts[0] += f" and {case.num_kv_heads} of keys"
    if case.rotary_dim < head_dim:
        parts.append(f"{case.rotary_dim} channels rotate")
    if case.heads_first:
        parts.append("heads first")
    return replace(case, name=", ".join(parts))


def normal(seed, shape, dtype=jnp.float32):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float32).astype(dtype)


def heads(case, dtype, quick):
    """Queries of 16 MiB in any dtype, keys if there are, and cos and sin of both.

    Cos and sin are `(1, seq_len, pairs)` of positions 0, 1, ...; for one token,
    `(batch, 1, pairs)` of a position for each sequence.
    """
    batch, seq_len, num_heads, head_dim = case.shape
    if seq_len > 1:
        seq_len = 16 if quick else seq_len * 4 // jnp.dtype(dtype).itemsize
        positions = jnp.arange(seq_len)[None]
    else:
        positions = 1000 + jnp.arange(batch)[:, None]
    counts = [num_heads, case.num_kv_heads] if case.num_kv_heads else [num_heads]
    xs = [
        normal(seed, (batch, seq_len, count, head_dim), dtype)
        for seed, count in enumerate(counts)
    ]
    if case.heads_first:
        xs = [x.swapaxes(1, 2) for x in xs]
    return xs, *F.rope_cos_sin(positions, F.default_inv_freq(case.rotary_dim))


def copy(x):
    """Reads an array and writes one of its size, as fast as memory goes.

    A copy of the bits alone takes as long, in 16 bits too.
    """
    return x * jnp.asarray(1.0078125, x.dtype)  # a factor that XLA cannot drop
