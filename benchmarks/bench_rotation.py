"""How far from a copy of `x` is its rotation, forward and backward?

`x` are queries, or queries and keys in one program. One token is bound by dispatch:
there the limit is the concatenation.
"""

import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from .rivals.installed import available
from .rivals.plain_rope import concatenation
from .rivals.rope import equinox_rotation, transformers_rotation
from .timing.harness import Group
from .timing.programs import Program, TorchProgram
from .timing.pullback import pullback

TARGETS = {
    ("half", "float32"): 1.5,
    ("half", "bfloat16"): 2.5,
    ("interleaved", "float32"): 2.25,
    ("interleaved", "bfloat16"): 3.5,
}
CASES = (
    cases.LLAMA,
    cases.LLAMA_META,
    cases.LLAMA_FIRST,
    cases.LLAMA_META_FIRST,
    cases.LLAMA_KEYS,
    cases.LLAMA_1B,
    cases.QWEN_VISION,
    cases.PHI,
    cases.GEMMA,
    cases.NEOX,
    cases.GPT_J,
    cases.DEEPSEEK,
)
IN_FLOAT16 = (cases.LLAMA, cases.LLAMA_META)
# A few, for each program takes PyTorch seconds; it compiles no complex numbers, with
# which it rotates `LLAMA_META`.
COMPILED = (cases.LLAMA, cases.LLAMA_META_FIRST, cases.DECODE)


def rotations(case):
    """`rotate(x, cos, sin)` by rival, with cos and sin as `cases.heads` makes them."""
    layout, start, head_dim = case.layout, case.start, case.shape[-1]
    rope = F.Rope(F.default_inv_freq(case.rotary_dim), layout, rotary_start=start)
    head_axis = -3 if case.heads_first else -2
    per_head = case.per_head

    def attnax(x, cos, sin):
        if start:
            return F.apply_rotary(rope, x, cos, sin, head_axis=head_axis)
        return F.apply_rope(x, per_head(cos), per_head(sin), layout=layout)

    def concatenated(x, cos, sin):
        return concatenation(x, per_head(cos), per_head(sin), layout, start)

    rivals = {"attnax": attnax, "concatenation": concatenated}
    # It rotates whole heads in halves, by positions from 0 on.
    if layout == "half" and case.rotary_dim == head_dim and case.shape[1] > 1:
        rivals["equinox.nn"] = equinox_rotation(head_dim, case.heads_first)
    return rivals


def of_all(rotate):
    """Queries, and keys where there are, in one program."""
    return lambda xs, cos, sin: [rotate(x, cos, sin) for x in xs]


def torch_rivals(case, xs, cos, sin, cotangent=None):
    """Returns programs of transformers, if it is installed and has the function."""
    if not (case.transformers and available("transformers")):
        return {}
    function, args = transformers_rotation(case, xs, cos, sin)
    program = lambda compiled: TorchProgram(function, args, compiled, cotangent)
    rivals = {"transformers, eager": program(False)}
    if case in COMPILED and xs[0].dtype != jnp.float16:
        rivals["transformers, compiled"] = program(True)
    return rivals


def groups(quick):
    for case in CASES:
        extra = (jnp.float16,) if case in IN_FLOAT16 else ()
        for dtype in (jnp.float32, jnp.bfloat16, *extra):
            yield from sequence_groups(case, dtype, quick)
    for dtype in (jnp.float32, jnp.bfloat16):
        yield decode_group(cases.DECODE, dtype, quick)


def sequence_groups(case, dtype, quick):
    xs, *_ = arrays = cases.heads(case, dtype, quick)
    rivals = {name: of_all(rotate) for name, rotate in rotations(case).items()}
    limit = Program(lambda xs: jax.tree.map(cases.copy, xs), (xs,))
    target = TARGETS.get((case.layout, xs[0].dtype.name))
    # Cos and sin in the dtype of `x`, as whoever writes it has them.
    narrow = (xs, *(t.astype(dtype) for t in arrays[1:]))
    arrays_of = lambda name: narrow if name == "concatenation" else arrays

    programs = {name: Program(f, arrays_of(name)) for name, f in rivals.items()}
    programs |= torch_rivals(case, *arrays)
    named = cases.unnamed(case) if quick else case
    yield group(named, xs, "forward", {"limit": limit, **programs}, target)

    programs = {
        name: Program(pullback(f), (*arrays_of(name), xs)) for name, f in rivals.items()
    }
    if len(xs) == 1:
        programs |= torch_rivals(case, *arrays, cotangent=xs[0])
    margins = {"concatenation": 5.0} if dtype == jnp.bfloat16 else {}
    yield group(
        named, xs, "backward", {"limit": limit, **programs}, target, margins=margins
    )


def decode_group(case, dtype, quick):
    xs, *tables = arrays = cases.heads(case, dtype, quick)
    narrow = (xs, *(t.astype(dtype) for t in tables))
    rivals = rotations(case)
    programs = {
        "limit": Program(of_all(rivals["concatenation"]), narrow),
        "attnax": Program(of_all(rivals["attnax"]), arrays),
        **torch_rivals(case, *arrays),
    }
    return group(case, xs, "one token", programs, 1.5, limit="concatenation")


def group(case, xs, part, programs, target, limit="copy", margins=None):
    name = xs[0].dtype.name
    return Group(
        f"rotation {case.name}, {case.layout}, {name}, {part}",
        limit,
        programs,
        target,
        meta={"shape": xs[0].shape, "dtype": name},
        bytes_moved=2 * sum(x.nbytes for x in xs) if limit == "copy" else None,
        margins=margins or {},
    )
