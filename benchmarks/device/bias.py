"""Position biases: T5's as a matrix with its gradient, and ALiBi through channels."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .. import cases
from ..bench_bias import of_table
from ..rivals.bias import t5_gather
from ..timing.harness import Group
from ..timing.programs import Program
from ..timing.pullback import pullback
from .lines import error
from .sizes import Sizes

HEADS, WIDTH = 12, 64


def matrices(sizes: Sizes):
    """Yields timings of the bias of all pairs and of the gradient of its table."""
    length = sizes.bias_len
    bias, span = F.T5Bias(HEADS, bidirectional=True), np.arange(length)
    table = cases.normal(0, (bias.num_buckets, HEADS))
    result = cases.normal(1, (HEADS, length, length))
    functions = {
        "attnax": partial(of_table, bias, span, span),
        "gather of every pair": lambda table: t5_gather(
            table, *[jnp.arange(length)] * 2
        ),
    }
    case = f"bias by buckets, {HEADS} heads, {length} x {length}"
    meta = {"shape": result.shape, "dtype": "float32"}
    copied = {"copy": Program(cases.copy, (result[: HEADS // 2],))}
    programs = {n: Program(f, (table,)) for n, f in functions.items()}
    programs["limit"] = Program(cases.copy, (result,))
    limit = "copy of the result"
    yield Group(f"{case}, forward", limit, programs | copied, 1.2, meta, result.nbytes)
    programs = {n: Program(pullback(f), (table, result)) for n, f in functions.items()}
    programs["limit"] = Program(jnp.sum, (result,))
    limit = "read of the cotangent"
    programs |= copied
    yield Group(f"{case}, gradient", limit, programs, 2.0, meta, result.nbytes)


def in_attention(sizes: Sizes):
    """Yields timings and errors of causal attention with ALiBi.

    On a GPU the attention is that of cuDNN, which takes widths in multiples of 8.
    """
    length, scale = sizes.attention_len, WIDTH**-0.5
    bias, span = F.AlibiBias(HEADS, form="signed"), range(length)
    q, k, v = (
        cases.normal(seed, (1, length, HEADS, WIDTH), jnp.bfloat16) for seed in range(3)
    )
    matrix = F.apply_position_bias(bias, None, span, span)[None]
    kernel = "cudnn" if jax.default_backend() == "gpu" else "xla"
    attend = partial(
        jax.nn.dot_product_attention,
        scale=scale,
        is_causal=True,
        implementation=kernel,
    )

    def with_channels(q, k, v):
        channels = F.position_bias_channels(
            bias, None, span, span, scale=scale, dtype=q.dtype
        )
        return attend(*F.append_channels(channels, q, k, v, multiple_of=8))[..., :WIDTH]

    narrow = matrix.astype(q.dtype)
    with_matrix = lambda q, k, v, bias: attend(q, k, v, bias=bias)
    programs = {
        "limit": Program(attend, (q, k, v)),
        "attnax": Program(with_channels, (q, k, v)),
        "a whole matrix": Program(with_matrix, (q, k, v, narrow)),
    }
    case = f"attention with ALiBi, {HEADS} heads of {WIDTH}, {length} tokens"
    meta = {"shape": q.shape, "dtype": "bfloat16"}
    yield Group(case, "without positions", programs, 1.1, meta)

    exact = jax.jit(partial(attend, implementation="xla"))
    wide = (x.astype(jnp.float32) for x in (q, k, v))
    with jax.default_matmul_precision("highest"):
        expected = np.asarray(exact(*wide, bias=matrix), np.float64)
    # Weights and results are rounded to bfloat16, and scores change weights by as much.
    bounds = {"attnax": 3 * 2.0**-8 * float(jnp.abs(v).max()), "a whole matrix": None}
    for name, bound in bounds.items():
        made = jax.jit(programs[name].function)(*programs[name].args)
        largest = float(np.abs(np.asarray(made, np.float64) - expected).max())
        yield error(case, "bfloat16", largest, bound=bound, rival=name)
