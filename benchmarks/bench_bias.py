"""What do position biases cost: as a matrix, its gradient, at decode, in attention?"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from . import cases
from .model.bias_products import disentangled, keys_by_distance, sinusoids
from .model.blockwise import attention
from .rivals.bias import (
    swin_gather,
    t5_gather,
    t5_one_hot,
    transformers_swin,
    transformers_t5,
)
from .rivals.installed import available
from .timing.harness import Group
from .timing.programs import Program, TorchProgram
from .timing.pullback import pullback

META = {"dtype": "float32"}


def of_table(bias, q_positions, k_positions, table):
    """The bias of attnax, for a record whose parameters are a table."""
    params = F.TableBiasParams(table=table)
    return F.apply_position_bias(bias, params, q_positions, k_positions)


def matrices(quick):
    """Whole matrices of T5 and Swin, and the gradients of their tables."""
    heads = 2 if quick else 12
    length, window = (30, (5, 6)) if quick else (1024, (32, 32))
    span = np.arange(length)
    t5, swin = F.T5Bias(heads, bidirectional=True), F.WindowBias(heads, window)
    pairs = f"{heads} heads, {length} x {length}"
    above = "" if quick else " (above 32 MiB)"
    # Libraries make the positions in the program, where XLA does not fold them.
    inside = lambda make: lambda table: make(table, *[jnp.arange(length)] * 2)
    functions = {
        "attnax": partial(of_table, t5, span, span),
        "gather of every pair": inside(t5_gather),
        "one-hot product": inside(t5_one_hot),
    }
    # Positions that are arguments of the program, as those of packed documents are.
    as_data = lambda table, positions: of_table(t5, positions, positions, table)
    data = {"attnax, positions as data": (as_data, jnp.asarray(span))}
    theirs = transformers_t5 if available("transformers") else None
    name = f"bias by buckets{'' if quick else ' of T5-base'}, {pairs}{above}"
    yield from forward_and_gradient(name, 32, heads, length, functions, data, theirs)

    functions = {
        "attnax": partial(of_table, swin, span, span),
        "gather of every pair": partial(swin_gather, window),
    }
    theirs = None
    if available("transformers"):
        theirs = lambda heads, _: transformers_swin(heads, window)
    name = f"bias of a window{'' if quick else ' of Swin'}, {pairs}{above}"
    rows = math.prod(2 * n - 1 for n in window)
    yield from forward_and_gradient(name, rows, heads, length, functions, {}, theirs)


def forward_and_gradient(name, rows, heads, length, functions, data, theirs):
    table = cases.normal(0, (rows, heads))
    result = cases.normal(1, (heads, length, length))
    programs = {"limit": Program(cases.copy, (result,))}
    programs |= {n: Program(f, (table,)) for n, f in functions.items()}
    programs |= {n: Program(f, (table, x)) for n, (f, x) in data.items()}
    eager, compiled = "transformers, eager", "transformers, compiled"
    if theirs is not None:
        function = theirs(heads, length)
        programs[eager] = TorchProgram(function, (table,))
        programs[compiled] = TorchProgram(function, (table,), compiled=True)
    limit = "copy of the result"
    moved = 2 * result.nbytes
    yield Group(f"{name}, forward", limit, programs, 1.2, META, moved)

    programs = {"limit": Program(jnp.sum, (result,))}
    programs |= {n: Program(pullback(f), (table, result)) for n, f in functions.items()}
    programs |= {
        n: Program(pullback(f), (table, x, result)) for n, (f, x) in data.items()
    }
    if theirs is not None:
        programs[eager] = TorchProgram(theirs(heads, length), (table,), False, result)
    limit = "read of the cotangent"
    yield Group(f"{name}, gradient", limit, programs, 2.0, META, result.nbytes)


def decode(quick):
    """A step of decoding: one query against the keys of a cache."""
    heads, length = (2, 30) if quick else (12, 2**15)
    bias = F.T5Bias(heads, bidirectional=False)
    table = cases.normal(0, (32, heads))
    values = cases.normal(1, (heads, 2 * length - 1))
    position = jnp.full((1,), length - 1)
    places = jnp.arange(length)
    functions = {
        "attnax": lambda table, at, keys: of_table(bias, at, range(length), table),
        "attnax, key positions as data": lambda table, at, keys: of_table(
            bias, at, keys, table
        ),
        "gather of every pair": lambda table, at, keys: t5_gather(
            table, at, keys, causal=True
        ),
    }
    programs = {n: Program(f, (table, position, places)) for n, f in functions.items()}
    programs["limit"] = Program(lambda x, at: x[:, at][:, None], (values, places))
    keys = f"{length} keys" if quick else f"{length // 1024}k keys"
    name = f"bias by buckets, {heads} heads, one query against {keys}"
    yield Group(name, "gather of the result", programs, 1.5, META)


def by_attention(quick):
    """ALiBi in causal attention that never holds the scores of all pairs."""
    heads, length, width, block = (2, 32, 16, 8) if quick else (4, 4096, 64, 256)
    bias, scale = F.AlibiBias(heads, form="signed"), width**-0.5
    slopes = jnp.asarray(F.alibi_slopes(heads), jnp.float32)[:, None, None]
    q, k, v = (cases.normal(seed, (length, heads, width)) for seed in range(3))
    matrix = F.apply_position_bias(bias, None, range(length), range(length))
    whole = F.position_bias_score_mod(bias, None, range(length), range(length))
    attend = partial(attention, scale=scale, block=block)

    def channels(q, k, v):
        channels = F.position_bias_channels(
            bias, None, range(length), range(length), scale=scale, dtype=q.dtype
        )
        return attend(*F.append_channels(channels, q, k, v, pad_values=False))

    def by_function(scores, start):
        index = lambda axis: jax.lax.broadcasted_iota(jnp.int32, scores.shape, axis)
        return whole(scores, 0, index(0), start + index(1), index(2))

    def as_one_writes_it(scores, start):
        queries = start + jnp.arange(block)[:, None]
        return scores + slopes * (jnp.arange(length) - queries)

    def dense(q, k, v, matrix):
        cut = lambda start: jax.lax.dynamic_slice_in_dim(matrix, start, block, 1)
        return attend(q, k, v, score_mod=lambda scores, at: scores + cut(at))

    programs = {
        "limit": Program(attend, (q, k, v)),
        "attnax": Program(channels, (q, k, v)),
        "attnax, score function": Program(
            partial(attend, score_mod=by_function), (q, k, v)
        ),
        "slopes times distances": Program(
            partial(attend, score_mod=as_one_writes_it), (q, k, v)
        ),
        "a whole matrix": Program(dense, (q, k, v, matrix)),
    }
    name = f"attention with ALiBi, {heads} heads of {width}, {length} tokens"
    yield Group(name, "without positions", programs, 1.1, META)


def products(quick):
    """Products of queries and keys with what a distance has, of three schemes."""
    heads, length, width = (2, 30, 16) if quick else (12, 1024, 64)
    q, k = (cases.normal(seed, (length, heads, width)) for seed in range(2))
    result = cases.normal(2, (heads, length, length))
    content = lambda q, k: jnp.einsum("qhc,khc->hqk", q, k)
    pairs = f"{heads} heads of {width}, {length} x {length}"
    above = "" if quick else " (above 32 MiB)"
    for make in (keys_by_distance, sinusoids, disentangled):
        scheme, functions, args = make(quick, heads, length, width)
        name = f"{scheme}, {pairs}{above}"
        programs = {"limit": Program(content, (q, k))}
        programs |= {n: Program(f, (q, k, *args)) for n, f in functions.items()}
        yield Group(f"{name}, forward", "content product", programs, 3.0, META)
        programs = {"limit": Program(pullback(content), (q, k, result))}
        programs |= {
            n: Program(pullback(f), (q, k, *args, result)) for n, f in functions.items()
        }
        name = f"{name}, gradient of queries"
        yield Group(name, "content product", programs, 3.0, META)


def groups(quick):
    for part in (matrices, decode, by_attention, products):
        yield from part(quick)
