"""How much faster is a step on the rows that a batch reads than one on the table?

A step takes the gradient and updates the table. The limit is the dense step of optax,
whose gradient and update are as large as the table. Tables and states are donated, as
in training. Adam is dense in the limit, and lazy in attnax and in PyTorch's SparseAdam.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from . import cases
from .rivals.installed import available
from .rivals.rows import TorchSteps, dense_step, row_step, start
from .timing.harness import Group
from .timing.programs import Steps


class Size(NamedTuple):
    """A table, its optimizers, and the part of the limit that attnax may take."""

    name: str
    vocab_size: int
    d_model: int
    optimizers: tuple[str, ...]
    target: float | None
    dtype: jnp.dtype = jnp.float32
    tokens: int = 8192


OPTIMIZERS = ("SGD", "Adagrad", "Adam")
# A million rows of float32 take 2 GiB, and so do their gradient and each state.
SIZES = (
    Size("256k x 512", 262_144, 512, OPTIMIZERS, 1 / 8),
    Size("256k x 512", 262_144, 512, ("SGD",), None, jnp.bfloat16),
    Size("1M x 512", 1_048_576, 512, ("SGD",), 1 / 20),
)
QUICK = (
    Size("100 x 16", 100, 16, OPTIMIZERS, None, tokens=8),
    Size("100 x 16", 100, 16, ("SGD",), None, jnp.bfloat16, tokens=8),
)


def groups(quick):
    if not available("optax"):
        return
    for size in QUICK if quick else SIZES:
        for name in size.optimizers:
            yield group_of(size, name)


def group_of(size, name):
    shape, dtype = (size.vocab_size, size.d_model), jnp.dtype(size.dtype)
    rng = np.random.default_rng(0)
    ids = jnp.asarray(rng.integers(0, size.vocab_size, size.tokens), jnp.int32)
    cotangent = cases.normal(1, (size.tokens, size.d_model), dtype)
    args = (ids, cotangent)
    new = partial(start, name, shape, dtype)
    programs = {
        "limit": Steps(partial(dense_step, name), new, args),
        "attnax": Steps(partial(row_step, name), new, args),
    }
    # PyTorch's sparse optimizers are of float32.
    if available("torch") and dtype == jnp.float32:
        programs["torch, sparse"] = TorchSteps(name, shape, args)
    nbytes = size.vocab_size * size.d_model * dtype.itemsize
    above = " (above 32 MiB)" * (nbytes >= 32 << 20)
    tokens = f"{size.tokens // 1024}k" if size.tokens >= 1024 else f"{size.tokens}"
    case = f"step of {size.name}{above}, {tokens} tokens, {dtype.name}, {name}"
    meta = {"shape": shape, "dtype": dtype.name, "distinct_ids": len(np.unique(ids))}
    return Group(case, "dense step", programs, size.target, meta)
