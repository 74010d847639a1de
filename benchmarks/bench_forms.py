"""Which form of the rotation comes closest to a copy of `x`?

The choice of `attnax/functional/_rope/kernel.py` rests on this: "attnax" is the form
that the kernel takes, the rivals are those that it could take. The backward pass is the
same function with the negative sine, so the forward pass speaks for both.
"""

from dataclasses import replace
from functools import partial

import jax.numpy as jnp

import attnax.functional as F

from . import cases
from .rivals import rope_forms as forms
from .timing.harness import Group
from .timing.programs import Program


def groups(quick):
    for layout in ("half", "interleaved"):
        for dtype in (jnp.float32, jnp.bfloat16, jnp.float16):
            for heads_first in (False, True):
                case = replace(cases.LLAMA, layout=layout, heads_first=heads_first)
                yield group(case, dtype, quick)
        for dtype in (jnp.float32, jnp.bfloat16):
            for case in (cases.LLAMA_1B, cases.GEMMA):
                yield group(replace(case, layout=layout), dtype, quick)


def candidates(layout, dtype):
    """The forms that give this layout and dtype, by name."""
    found = {
        "pad and add": forms.pad_and_add,
        "stack": forms.stack,
        "broadcast": forms.broadcast,
    }
    if layout == "half":
        found["concatenation in float32"] = forms.concatenation
    else:
        found["stack of tiles"] = forms.stack_of_tiles
        if dtype == jnp.bfloat16:
            found["stack of words"] = forms.stack_of_words
    return {name: partial(form, layout=layout) for name, form in found.items()}


def group(case, dtype, quick):
    (x,), *tables = cases.heads(case, dtype, quick)
    args = (x, *map(case.per_head, tables))
    rivals = {
        "attnax": partial(F.apply_rope, layout=case.layout),
        **candidates(case.layout, x.dtype),
    }
    size, order = f"heads of {x.shape[-1]}", ", heads first" * case.heads_first
    return Group(
        f"forms of {case.layout}, {size}{order}, {x.dtype.name}",
        "copy",
        {
            "limit": Program(cases.copy, (x,)),
            **{name: Program(function, args) for name, function in rivals.items()},
        },
        meta={"shape": x.shape, "dtype": x.dtype.name},
        bytes_moved=2 * x.nbytes,
    )
