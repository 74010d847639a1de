"""Lookups by ids of Zipf's law, and their gradients: time and errors."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from .. import cases
from ..bench_lookup import draw_ids
from ..rivals.gradient_error import sums_in_float64
from ..rivals.installed import available
from ..rivals.lookup import gather, lookup, sum_of_rows, torch_lookup, zeros_plus_rows
from ..timing.harness import Group
from ..timing.programs import Program, TorchProgram
from ..timing.pullback import pullback
from .lines import difference, error
from .sizes import Sizes

COLUMNS = 32  # of a table, whose gradients are compared with float64


def timed(sizes: Sizes, table: tuple[str, int, int], dtype):
    """Yields timings against a gather and a sum of rows, then errors."""
    yield from _groups(sizes, table, dtype)
    yield from _errors(_case(sizes, table), *_arrays(sizes, table, dtype), dtype)


def against_pytorch(sizes: Sizes, table: tuple[str, int, int], dtype):
    """Yields timings beside PyTorch's lookup, which it has no compiled form of."""
    if not available("torch"):
        return
    weight, ids, cotangent = _arrays(sizes, table, dtype)
    theirs = partial(torch_lookup, dtype=dtype)
    for group in _groups(sizes, table, dtype):
        backward = "gradient" in group.case
        args = {"cotangent": cotangent} if backward else {}
        rivals = {name: group.rivals[name] for name in ("limit", "attnax", "copy")}
        rivals["torch, eager"] = TorchProgram(theirs, (weight, ids), **args)
        case = f"{group.case}, beside PyTorch"
        yield replace(group, case=case, rivals=rivals, target=None)


def _arrays(sizes, table, dtype):
    _, vocab_size, d_model = table
    weight = cases.normal(0, (vocab_size, d_model), dtype)
    ids = draw_ids("Zipf", sizes.tokens, vocab_size)
    return weight, ids, cases.normal(2, (sizes.tokens, d_model), dtype)


def _case(sizes, table):
    name, vocab_size, d_model = table
    return (
        f"lookup {name}, {vocab_size:,} x {d_model}, {sizes.tokens:,} tokens "
        "by Zipf's law"
    )


def _groups(sizes, table, dtype):
    """Forward and backward."""
    weight, ids, cotangent = args = _arrays(sizes, table, dtype)
    case = _case(sizes, table)
    forward = {
        "attnax": Program(partial(lookup, dtype=dtype), (weight, ids)),
        "limit": Program(partial(gather, dtype=dtype), (weight, ids)),
    }
    yield _group(case, "gather", forward, 2 * cotangent.nbytes, weight, ids)
    backward = {
        "attnax": Program(pullback(partial(lookup, dtype=dtype)), args),
        "limit": Program(zeros_plus_rows, args),
        "float32 scatter-add": Program(sum_of_rows, args),
    }
    # The rows are read, and the table is written at least once.
    moved = cotangent.nbytes + weight.nbytes
    limit = "zeros plus rows"
    yield _group(f"{case}, gradient", limit, backward, moved, weight, ids)


def _group(case, limit, programs, moved, weight, ids):
    copied = cases.normal(3, (moved // 2 // weight.dtype.itemsize,), weight.dtype)
    programs["copy"] = Program(cases.copy, (copied,))
    meta = {"shape": weight.shape, "dtype": weight.dtype.name}
    meta["distinct_ids"] = len(np.unique(ids))
    return Group(case, limit, programs, 1.2, meta, moved)


def _errors(case, weight, ids, cotangent, dtype):
    name = weight.dtype.name
    rows = np.asarray(jax.jit(partial(lookup, dtype=dtype))(weight, ids))
    expected = np.asarray(weight)[np.asarray(ids)]
    yield difference(f"{case}, rows", rows, expected)
    distinct, sums = sums_in_float64(ids, cotangent[:, :COLUMNS])
    _, sizes = sums_in_float64(ids, np.abs(cotangent[:, :COLUMNS]))
    counts = np.bincount(np.asarray(ids))[distinct][:, None]
    gradient = jax.jit(pullback(partial(lookup, dtype=dtype)))(weight, ids, cotangent)
    made = np.asarray(gradient[jnp.asarray(distinct), :COLUMNS], np.float64)
    errors = np.abs(made - sums)
    # A sum of n terms in float32, in any order, and one rounding to the table's dtype.
    bounds = (counts - 1) * 2.0**-24 * sizes
    bounds += np.abs(sums) * float(jnp.finfo(weight.dtype).eps) / 2
    bounds += float(jnp.finfo(jnp.float32).tiny)
    share = float((errors / bounds).max())
    largest = float(errors.max())
    yield error(f"{case}, gradient", name, largest, share_of_bound=share)
