"""How far from a gather is a lookup, and its gradient from a sum of rows?

Both are bound by memory. The limit of a gradient adds rows up in the dtype of the
table; attnax does so in float32, as `float32 scatter-add`, a table of zeros and a cast.
The record of every program holds its largest error against sums in float64. Text
repeats its frequent words, and a sum of many rows is where rounding at every step
shows.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from . import cases
from .rivals.gradient_error import largest_error, sums_in_float64
from .rivals.installed import available
from .rivals.lookup import (
    equinox_lookup,
    flax_lookup,
    gather,
    lookup,
    sum_of_rows,
    torch_lookup,
    zeros_plus_rows,
)
from .timing.harness import Group
from .timing.programs import Program, TorchProgram
from .timing.pullback import pullback


class Size(NamedTuple):
    """A table, how many times 1024 ids read it, and what is timed besides lookups.

    A gradient costs what filling its table costs, whatever the ids: of large tables it
    is timed once. Narrow rows are those of the float32 table in bfloat16.
    """

    name: str
    vocab_size: int
    d_model: int
    tokens: int = 8
    gradients: tuple[str, ...] = ()
    narrow_rows: bool = False


# Sizes from the models' `config.json`.
SIZES = (
    Size("32k x 128", 32_000, 128, gradients=("uniform", "Zipf"), narrow_rows=True),
    Size("TinyLlama-1.1B, 32k x 2048", 32_000, 2048, tokens=2),
    Size("GPT-2, 50k x 768", 50_257, 768, gradients=("uniform",), narrow_rows=True),
    Size("DeBERTa-v3, 128k x 768", 128_100, 768, gradients=("Zipf",)),
    Size("Gemma-3-270M, 262k x 640", 262_144, 640, gradients=("Zipf",)),
)
QUICK = (Size("100 x 16", 100, 16, gradients=("uniform", "Zipf"), narrow_rows=True),)


def draw_ids(kind, count, vocab_size):
    """Ids that are equally frequent, or as words are: the k-th as 1 / k (Zipf)."""
    rng = np.random.default_rng(1)
    frequency = 1 / np.arange(1, vocab_size + 1)
    p = frequency / frequency.sum() if kind == "Zipf" else None
    ranks = rng.choice(vocab_size, count, p=p)
    # The table is not sorted by frequency.
    return jnp.asarray(rng.permutation(vocab_size)[ranks], jnp.int32)


def groups(quick):
    for size in QUICK if quick else SIZES:
        wide, narrow = (
            cases.normal(0, (size.vocab_size, size.d_model), dtype)
            for dtype in (jnp.float32, jnp.bfloat16)
        )
        pairs = [(wide, jnp.float32), (narrow, jnp.bfloat16)]
        pairs += [(wide, jnp.bfloat16)] * size.narrow_rows
        count = 16 if quick else size.tokens * 1024
        for weight, dtype in pairs:
            for kind in ("uniform", "Zipf"):
                ids = draw_ids(kind, count, size.vocab_size)
                yield from groups_of(size, weight, dtype, kind, ids)


def groups_of(size, weight, dtype, kind, ids):
    above = " (above 32 MiB)" * (weight.nbytes >= 32 << 20)
    count = f"{ids.size // 1024}k" if ids.size >= 1024 else f"{ids.size}"
    tokens = f"{count} tokens" + " by Zipf's law" * (kind == "Zipf")
    dtypes = dict.fromkeys(d.name for d in (weight.dtype, jnp.dtype(dtype)))
    name = f"lookup {size.name}{above}, {tokens}, {' to '.join(dtypes)}"
    meta = {"shape": weight.shape, "dtype": weight.dtype.name}
    meta |= {"distinct_ids": len(np.unique(ids))}
    rivals = {"limit": gather, "attnax": lookup, "equinox.nn": equinox_lookup}
    if available("flax.nnx"):
        rivals["flax.nnx"] = flax_lookup
    rivals = {n: partial(f, dtype=dtype) for n, f in rivals.items()}
    theirs = partial(torch_lookup, dtype=dtype)

    programs = {n: Program(f, (weight, ids)) for n, f in rivals.items()}
    if available("torch"):
        programs["torch, eager"] = TorchProgram(theirs, (weight, ids))
    yield Group(name, "gather", programs, 1.2, meta)

    if kind not in size.gradients:
        return
    cotangent = cases.normal(2, (*ids.shape, size.d_model), dtype)
    args = (weight, ids, cotangent)
    programs = {n: Program(pullback(f), args) for n, f in rivals.items()}
    programs["limit"] = Program(zeros_plus_rows, args)
    programs["float32 scatter-add"] = Program(sum_of_rows, args)
    if available("torch"):
        programs["torch, eager"] = TorchProgram(
            theirs, (weight, ids), cotangent=cotangent
        )
    truth = sums_in_float64(ids, cotangent)
    facts = {n: {"largest_error": largest_error(p, truth)} for n, p in programs.items()}
    limit = "zeros plus rows"
    yield Group(f"{name}, gradient", limit, programs, 1.2, meta, facts=facts)
