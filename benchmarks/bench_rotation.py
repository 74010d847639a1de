"""How far from a copy of `x` is its rotation, forward and backward?"""

import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from ._harness import Group
from ._programs import Program

TARGETS = {
    ("half", "float32"): 1.5,
    ("half", "bfloat16"): 2.5,
    ("interleaved", "float32"): 2.25,
    ("interleaved", "bfloat16"): 3.5,
}


def concatenation(x, cos, sin, layout):
    """As nearly everyone writes it, with cos and sin in the dtype of `x`."""
    cos, sin, pairs = cos.astype(x.dtype), sin.astype(x.dtype), cos.shape[-1]
    turning, tail = x[..., : 2 * pairs], x[..., 2 * pairs :]
    if layout == "half":
        a, b = jnp.split(turning, 2, axis=-1)
        turned = jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
    else:
        a, b = turning[..., 0::2], turning[..., 1::2]
        turned = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)
        turned = turned.reshape(turning.shape)
    return jnp.concatenate([turned, tail], axis=-1) if tail.shape[-1] else turned


def pullback(function):
    """The backward pass alone: linear in `x`, so nothing of the forward remains."""

    def backward(x, cos, sin, cotangent):
        return jax.vjp(lambda x: function(x, cos, sin), x)[1](cotangent)

    return backward


def groups(quick):
    shapes = (cases.LLAMA, cases.LLAMA_META, cases.NEOX, cases.GPT_J)
    for case in shapes:
        for dtype in (jnp.float32, jnp.bfloat16):
            x, cos, sin = cases.heads(case, dtype, quick)
            name = jnp.dtype(dtype).name
            ours = lambda x, c, s, l=case.layout: F.apply_rope(x, c, s, layout=l)
            theirs = lambda x, c, s, l=case.layout: concatenation(x, c, s, l)
            whole = case.rotary_dim == case.shape[-1]
            for direction, wrap, extra in (
                ("forward", lambda f: f, ()),
                ("backward", pullback, (x,)),
            ):
                yield Group(
                    f"rotation {case.name}, {case.layout}, {name}, {direction}",
                    "copy",
                    {
                        "limit": Program(cases.copy, (x,)),
                        "attnax": Program(wrap(ours), (x, cos, sin, *extra)),
                        "concatenation": Program(wrap(theirs), (x, cos, sin, *extra)),
                    },
                    TARGETS[case.layout, name] if whole else None,
                    {"shape": x.shape, "dtype": name},
                )
    for dtype in (jnp.float32, jnp.bfloat16):
        arrays = cases.heads(cases.DECODE, dtype, quick)
        name = jnp.dtype(dtype).name
        yield Group(
            f"rotation {cases.DECODE.name}, half, {name}, one token",
            "concatenation",
            {
                "limit": Program(lambda *a: concatenation(*a, "half"), arrays),
                "attnax": Program(F.apply_rope, arrays),
            },
            1.5,
            {"shape": arrays[0].shape, "dtype": name},
        )
