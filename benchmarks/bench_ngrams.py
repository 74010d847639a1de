"""What do the rows of hashed n-grams cost, beside 64-bit integers of NumPy and of XLA?

Each record has the share of right rows beside the time: `right_rows`, against NumPy.
"""

import time
from dataclasses import dataclass
from functools import partial
from itertools import accumulate

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .timing.harness import Group
from .timing.programs import Program, Started

# Name, number of tokens, least rows of a head, size of the longest n-grams.
CASES = (
    ("16 heads of Engram", 8192, 646_400, 3),
    ("24 heads of DeepSeek-V4.1", 8192, 16_000_000, 4),
)
QUICK = (("16 heads", 16, 646_400, 3),)
VOCAB = 99_092


@dataclass(frozen=True)
class HostProgram:
    """A function of NumPy arrays, which runs as it is."""

    function: object
    args: tuple

    def start(self) -> Started:
        """Calls it once."""
        call = lambda: self.function(*self.args)
        call()
        return Started(call, lambda result: None, {})


@dataclass(frozen=True)
class WideProgram:
    """A JAX program in 64-bit mode."""

    function: object
    args: tuple

    def start(self) -> Started:
        """Compiles by XLA."""
        begin = time.perf_counter()
        with jax.enable_x64(True):
            args = [jnp.asarray(arg) for arg in self.args]
            compiled = jax.jit(self.function).lower(*args).compile()
        facts = {"compile_ms": round((time.perf_counter() - begin) * 1e3, 1)}
        call = lambda: compiled(*args)
        jax.block_until_ready(call())
        return Started(call, jax.block_until_ready, facts)


def plain(token_ids, xp, dtype, hashing):
    """The code of the demo of Engram, for NumPy's integers or JAX's."""
    ids = token_ids.astype(dtype)
    seq_len, offsets = ids.shape[-1], list(accumulate(hashing.moduli, initial=0))
    rows = []
    number, before = xp.zeros_like(ids), 0
    for size, head in enumerate(range(0, hashing.num_heads, 8), 2):
        for k in range(before, size):
            fill = xp.full((*ids.shape[:-1], k), hashing.fill_id, dtype)
            shifted = xp.concatenate([fill, ids[..., : seq_len - k]], axis=-1)
            factor = np.array(hashing.multipliers[-1][k], np.int64).astype(dtype)
            number = number ^ shifted * factor
        before = size
        for h in range(head, head + 8):
            rows.append(number % dtype(hashing.moduli[h]) + dtype(offsets[h]))
    return xp.stack(rows, axis=-1)


def groups(quick):
    for name, num_tokens, min_rows, ngram_size in QUICK if quick else CASES:
        hashing = F.engram_hashings(
            [1], min_rows=min_rows, vocab_size=VOCAB, ngram_size=ngram_size
        )[0]
        token_ids = np.random.default_rng(0).integers(
            0, VOCAB, (1, num_tokens), np.int32
        )
        yield group(name, token_ids, hashing)


def group(name, token_ids, hashing):
    of_numpy = partial(plain, xp=np, dtype=np.int64, hashing=hashing)
    int64 = partial(plain, xp=jnp, dtype=np.int64, hashing=hashing)
    int32 = partial(plain, xp=jnp, dtype=np.int32, hashing=hashing)
    ours = partial(F.ngram_row_ids, hashing=hashing)
    device_ids = jnp.asarray(token_ids)
    programs = {
        "limit": HostProgram(of_numpy, (token_ids,)),
        "attnax": Program(ours, (device_ids,)),
        "int64 of JAX's 64-bit mode": WideProgram(int64, (token_ids,)),
        "int32, wrong rows": Program(int32, (device_ids,)),
    }
    expected = of_numpy(token_ids)
    made = {"attnax": ours(device_ids), "int32, wrong rows": jax.jit(int32)(device_ids)}
    return Group(
        f"rows of n-grams, {name}",
        "int64 of NumPy",
        programs,
        1.0,
        {"shape": (*token_ids.shape, hashing.num_heads), "dtype": "int32"},
        facts={
            rival: {"right_rows": round(float((np.asarray(m) == expected).mean()), 4)}
            for rival, m in made.items()
        },
    )
