"""Rotations of queries: time forward and backward, and errors against float64."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .. import bench_forms, bench_rotation, cases
from ..rivals.installed import available
from ..rivals.rope import torch_concatenation, transformers_rotation
from ..timing.programs import Later, TorchProgram
from . import truth
from .lines import difference, error
from .sizes import Sizes

# Where cos and sin of float32 angles go wrong, and ordinary positions.
FAR = (0, 1, 255, 2049, 32_767, 131_071, 1_000_003, 2**24 + 1, 2**27 - 1)
# An element is `a cos - b sin`. Cos and sin are off by 1.2e-7, and two products and a
# sum round, to 2**-24 of what they round; one more for the sum that they are part of.
OF_TERMS = 1.2e-7 + 3 * 2.0**-24


def timed(sizes: Sizes, case: cases.Heads, dtype):
    """Yields timings, forward and backward, against a copy and the concatenation."""
    for group in _groups(sizes, case, dtype):
        rivals = {k: v for k, v in group.rivals.items() if k in OURS}
        yield replace(group, rivals=rivals)


OURS = ("limit", "attnax", "concatenation")


def against_pytorch(sizes: Sizes, case: cases.Heads, dtype):
    """Yields timings beside PyTorch, eager and compiled, and transformers."""
    if not available("torch"):
        return
    case = _sized(sizes, case)
    xs, cos, sin = cases.heads(case, dtype, False)
    tables = tuple(case.per_head(t.astype(dtype)) for t in (cos, sin))
    made = {"torch": lambda: (torch_concatenation(case.layout), (xs[0], *tables))}
    if case.transformers and available("transformers"):
        made["transformers"] = lambda: transformers_rotation(case, xs, cos, sin)

    def program(make, compiled, cotangent):
        return Later(lambda: TorchProgram(*make(), compiled, cotangent))

    for group in _groups(sizes, case, dtype):
        cotangent = None if "forward" in group.case else xs[0]
        rivals = {name: group.rivals[name] for name in ("limit", "attnax")}
        for name, make in made.items():
            rivals[f"{name}, eager"] = program(make, False, cotangent)
            rivals[f"{name}, compiled"] = program(make, True, cotangent)
        # Targets are judged beside the rivals in JAX.
        name = f"{group.case}, beside PyTorch"
        yield replace(group, case=name, rivals=rivals, target=None, margins={})


def _groups(sizes, case, dtype):
    # Without transformers, whose programs come in a step of their own.
    case = replace(_sized(sizes, case), transformers=None)
    return bench_rotation.sequence_groups(case, dtype, False)


def _sized(sizes, case):
    batch, _, num_heads, head_dim = case.shape
    # The arrays have as many elements as one sequence of 32 heads of 128.
    seq_len = sizes.seq_len * 32 * 128 // (batch * num_heads * head_dim)
    return replace(case, shape=(batch, seq_len, num_heads, head_dim))


def decode(sizes: Sizes, case: cases.Heads, dtype):
    """Yields timings of one token of each of eight sequences.

    To start such a program takes longer than to run it.
    """
    case = replace(case, transformers=None)
    yield bench_rotation.decode_group(case, dtype, False)


def forms(sizes: Sizes, layout: str, dtype):
    """Yields timings of the forms in which one rotation is written with equal bits."""
    case = replace(_sized(sizes, cases.LLAMA), layout=layout)
    yield bench_forms.group(case, dtype, False)


def errors(sizes: Sizes, layout: str):
    """Yields errors against float64, forward and backward, in both precisions.

    Then whether bfloat16 is float32 rounded once, and eager the same as compiled.
    """
    heads, head_dim, base = 4, 128, 1e4
    rope = F.Rope(F.default_inv_freq(head_dim, base), layout)
    far = np.resize(FAR, sizes.error_seq_len // 2)
    near = np.arange(sizes.error_seq_len - len(far))
    positions = np.concatenate([near, far]).astype(np.int32)
    x = cases.normal(0, (1, len(positions), heads, head_dim))
    narrow = x.astype(jnp.bfloat16)
    forward = jax.jit(lambda x, p: F.rotate(rope, x, p))

    @jax.jit
    def backward(x, p):
        return jax.vjp(lambda x: F.rotate(rope, x, p), x)[1](x)[0]

    inv_freq = truth.frequencies(head_dim, base)
    cos, sin = np.stack([truth.cos_sin(positions, f) for f in inv_freq], axis=-1)
    for name, function, sign in (("forward", forward, 1), ("backward", backward, -1)):
        case = f"rotation, {layout}, {name}"
        made = {t.dtype.name: function(t, positions) for t in (x, narrow)}
        for t in (x, narrow):
            wide = np.asarray(t, np.float64)
            expected, terms = _rotated(wide, cos, sign * sin, layout)
            yield _against(case, made[t.dtype.name], expected, terms)
        wide = function(narrow.astype(jnp.float32), positions).astype(jnp.bfloat16)
        yield difference(f"{case}, float32 rounded once", made["bfloat16"], wide)
    compiled, eager = forward(x, positions), F.rotate(rope, x, positions)
    yield difference(f"rotation, {layout}, eager as compiled", eager, compiled)


def _rotated(x, cos, sin, layout):
    """Rotates in float64; also returns `|a| + |b|` of each pair at both channels."""
    cos, sin = cos[None, :, None], sin[None, :, None]
    axis = -1 if layout == "interleaved" else -2
    sizes = (-1, 2) if layout == "interleaved" else (2, -1)
    a, b = np.moveaxis(x.reshape(*x.shape[:-1], *sizes), axis, 0)
    turned = np.stack([a * cos - b * sin, a * sin + b * cos], axis)
    terms = np.stack([np.abs(a) + np.abs(b)] * 2, axis)
    return turned.reshape(x.shape), terms.reshape(x.shape)


def _against(case, made, expected, terms):
    dtype = made.dtype
    errors = np.abs(np.asarray(made, np.float64) - expected)
    bounds = np.abs(expected) * float(jnp.finfo(dtype).eps) / 2 + terms * OF_TERMS
    share = float((errors / bounds).max())
    return error(case, dtype.name, float(errors.max()), share_of_bound=share)
