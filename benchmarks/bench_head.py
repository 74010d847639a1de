"""What does a loss without logits cost, beside one that makes them all?

Forward it takes the same product. With gradients it takes four products in place of
three, and no array of all logits is written or read. So its time is near 4/3 where the
products take most of it, and less where memory does. What it is for is in the record:
the temporary memory of each program.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from . import cases
from .rivals.head import (
    by_chunks,
    by_logits,
    by_rematerialized_logits,
    gradients,
    optax_loss,
    torch_loss,
)
from .rivals.installed import available
from .timing.harness import Group
from .timing.programs import Program, TorchProgram


class Size(NamedTuple):
    """A head; the multiple of the plain form that its gradients may take."""

    name: str
    vocab_size: int
    d_model: int
    tokens: int
    chunk_size: int
    of_gradients: float


SIZES = (
    Size("32k x 1024, 2k tokens", 32_000, 1024, 2048, 4096, 1.5),
    Size("32k x 256, 2k tokens", 32_000, 256, 2048, 4096, 1.15),
    Size("32k x 128, 1k tokens", 32_000, 128, 1024, 4096, 1.15),
    Size("GPT-2, 50k x 768, 512 tokens", 50_257, 768, 512, 8192, 1.5),
)
QUICK = (Size("100 x 16, 8 tokens", 100, 16, 8, 32, 1.5),)


def groups(quick):
    for size in QUICK if quick else SIZES:
        for dtype in (jnp.float32, jnp.bfloat16):
            yield from groups_of(size, dtype)


def groups_of(size, dtype):
    weight = cases.normal(0, (size.vocab_size, size.d_model), dtype)
    weight = weight * jnp.asarray(size.d_model**-0.5, dtype)
    hidden = cases.normal(1, (size.tokens, size.d_model), dtype)
    targets = np.random.default_rng(2).integers(0, size.vocab_size, size.tokens)
    args = weight, hidden, jnp.asarray(targets, jnp.int32)
    above = " (above 32 MiB)" * (size.tokens * size.vocab_size >= 8 << 20)
    name = f"head {size.name}{above}, {weight.dtype.name}"
    meta = {"shape": weight.shape, "dtype": weight.dtype.name}
    meta |= {"tokens": size.tokens, "chunk_size": size.chunk_size}
    losses = {
        "limit": by_logits,
        "attnax": partial(by_chunks, chunk_size=size.chunk_size),
    }
    if available("optax"):
        losses["optax"] = optax_loss

    programs = {n: Program(loss, args) for n, loss in losses.items()}
    if available("torch") and dtype == jnp.float32:  # it would round narrow logits
        programs["torch, eager"] = TorchProgram(torch_loss, args)
    yield Group(name, "loss by logits", programs, 1.15, meta)

    losses["rematerialized logits"] = by_rematerialized_logits
    programs = {n: Program(gradients(loss), args) for n, loss in losses.items()}
    name, limit = f"{name}, with gradients", "loss by logits, with gradients"
    yield Group(name, limit, programs, size.of_gradients, meta)
