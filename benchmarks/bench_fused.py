"""What do sums of several rows and rows of 8-bit floats cost beside a gather?

Codebooks and hashed n-grams read several rows for each token. Their limit is one gather
of these rows and one sum. A table of 8-bit floats is half as large as one of bfloat16,
whose gather is the limit, and its rows are widened as they are read.
"""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from . import cases
from .rivals.fused import (
    cast_by_jax,
    lookup_and_sum,
    quantized,
    rows_and_sum,
    table_by_table,
    torch_sum,
)
from .rivals.installed import available
from .rivals.lookup import gather
from .timing.harness import Group
from .timing.programs import Program, TorchProgram
from .timing.pullback import pullback


class Size(NamedTuple):
    """Tables of equal size, and how many tokens read a row of each."""

    name: str
    num_tables: int
    rows: int
    d_model: int
    tokens: int
    dtype: jnp.dtype


# Sizes from the models' `config.json`; those of the n-grams fit this machine.
SIZES = (
    Size("MusicGen, 4 x 2049 x 1536", 4, 2049, 1536, 512, jnp.float32),
    Size("CSM, 32 x 2051 x 2048", 32, 2051, 2048, 64, jnp.bfloat16),
    Size("n-grams, 16 x 20011 x 64", 16, 20011, 64, 4096, jnp.bfloat16),
)
QUICK = (Size("3 x 5 x 16", 3, 5, 16, 8, jnp.bfloat16),)
# Rows, columns and ids; Engram's rows are 256 wide, and its tables larger.
TABLES = (("65k x 256", 65_536, 256, 8192), ("16k x 256", 16_384, 256, 1024))
QUICK_TABLES = (("64 x 64", 64, 64, 8),)


def groups(quick):
    for size in QUICK if quick else SIZES:
        yield from sums(size)
    for table in QUICK_TABLES if quick else TABLES:
        yield narrow_rows(*table)


def sums(size):
    counts = (size.rows,) * size.num_tables
    weight = cases.normal(0, (sum(counts), size.d_model), size.dtype)
    rng = np.random.default_rng(1)
    ids = rng.integers(0, size.rows, (size.tokens, size.num_tables))
    args = (weight, jnp.asarray(ids, jnp.int32))
    above = " (above 32 MiB)" * (weight.nbytes >= 32 << 20)
    name = f"sum of rows {size.name}{above}, {size.tokens} tokens, {weight.dtype.name}"
    meta = {"shape": weight.shape, "dtype": weight.dtype.name}
    rivals = {"limit": rows_and_sum, "attnax": lookup_and_sum}
    rivals |= {"a table at a time": table_by_table}
    rivals = {n: partial(f, counts=counts) for n, f in rivals.items()}
    theirs = partial(torch_sum, counts=counts)
    programs = {n: Program(f, args) for n, f in rivals.items()}
    if available("torch"):
        programs["torch, eager"] = TorchProgram(theirs, args)
    yield Group(name, "gather and sum", programs, 1.2, meta)

    cotangent = cases.normal(2, (size.tokens, size.d_model), size.dtype)
    programs = {n: Program(pullback(f), (*args, cotangent)) for n, f in rivals.items()}
    if available("torch"):
        programs["torch, eager"] = TorchProgram(theirs, args, cotangent=cotangent)
    yield Group(f"{name}, gradient", "gather and sum", programs, 1.2, meta)


def narrow_rows(name, rows, d_model, count):
    wide = cases.normal(0, (rows, d_model), jnp.bfloat16)
    options = {"block_size": 32, "scale_dtype": jnp.float8_e8m0fnu}
    weight, scale = F.quantize_table(wide, **options)
    ids = jnp.asarray(np.random.default_rng(1).integers(0, rows, count), jnp.int32)
    programs = {
        "limit": Program(partial(gather, dtype=jnp.bfloat16), (wide, ids)),
        "attnax": Program(quantized, (weight, scale, ids)),
        "cast by XLA": Program(cast_by_jax, (weight, scale, ids)),
    }
    meta = {"shape": weight.shape, "dtype": weight.dtype.name}
    case = f"8-bit rows {name}, {count} ids, float8_e4m3fn to bfloat16"
    return Group(case, "bfloat16 gather", programs, 4.0, meta)
