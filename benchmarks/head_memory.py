"""The temporary memory of a loss without logits, by XLA's own analysis, as Markdown.

    python -m benchmarks.head_memory

Nothing is run: the programs are compiled for arrays that do not exist.
"""

from functools import partial

import jax
import jax.numpy as jnp

from .rivals.head import by_chunks, by_logits, gradients
from .timing.machine import machine

TOKENS, D_MODEL, CHUNK_SIZE = 8192, 1024, 4096
VOCAB_SIZES = (32_768, 131_072, 262_144)
LOSSES = {
    "by chunks": partial(by_chunks, chunk_size=CHUNK_SIZE),
    "by logits": by_logits,
}


def main():
    """Prints a row for each vocabulary and dtype."""
    found = machine()
    print(f"{found['device']}, jax {found['jax']}, MiB:\n")
    names = [f"{name}{part}" for name in LOSSES for part in ("", ", with gradients")]
    print(f"| vocabulary | dtype | {' | '.join(names)} |")
    print("|---:|---|" + "---:|" * len(names))
    for vocab_size in VOCAB_SIZES:
        for dtype in (jnp.float32, jnp.bfloat16):
            programs = [
                function
                for loss in LOSSES.values()
                for function in (loss, gradients(loss))
            ]
            sizes = [f"{temporary_mib(p, vocab_size, dtype):,}" for p in programs]
            name = jnp.dtype(dtype).name
            print(f"| {vocab_size:,} | {name} | {' | '.join(sizes)} |", flush=True)


def temporary_mib(function, vocab_size, dtype) -> int:
    """Returns what a compiled program needs beside its arguments and results."""
    args = (
        jax.ShapeDtypeStruct((vocab_size, D_MODEL), dtype),
        jax.ShapeDtypeStruct((TOKENS, D_MODEL), dtype),
        jax.ShapeDtypeStruct((TOKENS,), jnp.int32),
    )
    compiled = jax.jit(function).lower(*args).compile()
    return round(compiled.memory_analysis().temp_size_in_bytes / 2**20)


if __name__ == "__main__":
    main()
