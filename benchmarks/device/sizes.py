"""How large the arrays are: for an accelerator, and for a dry run on a CPU."""

from typing import NamedTuple

import jax.numpy as jnp

from .. import bench_head, bench_rows, cases


class Sizes(NamedTuple):
    """Sizes that all steps read; a step needs less than 30 GiB by our reckoning.

    Results of calls that wait in a queue are part of that. The lines hold the peak.

    On an accelerator an array is larger than its caches, and a kernel takes longer than
    what it takes to start it.
    """

    quick: bool  # names no model, for it has none of their sizes
    every_dtype: bool  # else the cases of a step take turns with float32 and bfloat16
    copied_mib: tuple[int, ...]
    matmul: int
    seq_len: int  # of float32 heads; bfloat16 heads have twice as many positions
    positions: int
    sequences: int  # of so many positions each
    models: tuple[cases.Heads, ...]  # beside Llama
    error_positions: int
    error_seq_len: int
    layers: tuple[int, ...]
    layer_seq_len: int
    tables: tuple[tuple[str, int, int], ...]  # name, vocab_size, d_model
    tokens: int
    images: int
    image_size: int
    embed_dim: int
    bias_len: int  # queries and keys of a matrix of biases
    attention_len: int
    head: bench_head.Size
    stepped_tables: tuple[bench_rows.Size, ...]
    host_table: tuple[int, int, int]  # num_rows, d_model, and rows of a step
    host_width: int  # of the hidden states beside them
    host_products: int


FULL = Sizes(
    quick=False,
    every_dtype=True,
    copied_mib=(64, 512, 2048),
    matmul=8192,
    seq_len=32_768,
    positions=131_072,
    sequences=16,
    models=(
        *(cases.LLAMA_FIRST, cases.LLAMA_META_FIRST, cases.LLAMA_KEYS, cases.LLAMA_1B),
        *(cases.QWEN_VISION, cases.GEMMA, cases.NEOX, cases.GPT_J, cases.DEEPSEEK),
    ),
    error_positions=1_000_000,
    error_seq_len=2048,
    layers=(1, 4, 32),
    layer_seq_len=8192,
    # Sizes from the models' `config.json`.
    tables=(
        ("Llama-3.2-1B", 128_256, 2048),
        ("Gemma-3-1B", 262_144, 1152),
    ),
    tokens=65_536,
    images=512,
    image_size=224,
    embed_dim=768,
    bias_len=4096,
    attention_len=4096,
    head=bench_head.Size(
        "Llama-3.2-1B, 128k x 2048, 8k tokens", 128_256, 2048, 8192, 4096, 1.5
    ),
    stepped_tables=(
        bench_rows.Size("256k x 512", 262_144, 512, bench_rows.OPTIMIZERS, 1 / 8),
        bench_rows.Size("256k x 512", 262_144, 512, ("SGD",), 1 / 8, jnp.bfloat16),
        bench_rows.Size("1M x 512", 1_048_576, 512, ("SGD",), 1 / 20),
    ),
    host_table=(1_000_000, 512, 8192),
    host_width=4096,
    host_products=64,
)
QUICK = Sizes(
    quick=True,
    every_dtype=False,
    copied_mib=(1,),
    matmul=256,
    seq_len=64,
    positions=256,
    sequences=2,
    models=(cases.DEEPSEEK,),
    error_positions=20_000,
    error_seq_len=32,
    layers=(1, 4),
    layer_seq_len=16,
    tables=(("a table", 500, 32), ("a larger table", 900, 16)),
    tokens=256,
    images=2,
    image_size=32,
    embed_dim=48,
    bias_len=32,
    attention_len=32,
    head=bench_head.Size("100 x 16, 8 tokens", 100, 16, 8, 8, 1.5),
    stepped_tables=(
        bench_rows.Size("100 x 16", 100, 16, bench_rows.OPTIMIZERS, None, tokens=8),
    ),
    host_table=(100, 8, 16),
    host_width=32,
    host_products=2,
)
