"""The steps of the measurement, the most valuable first: time may run out."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import cycle, product
from typing import NamedTuple

import jax.numpy as jnp

from .. import cases
from ..timing.harness import Group
from . import bias, cos_sin, head, host, layers, lookup, memory, patch, rotation, rows
from .sizes import Sizes

KINDS = (
    *("copy", "matmul", "rotation", "cos_sin", "layers", "lookup", "head", "rows"),
    *("host", "patch", "bias"),
)
DTYPES = (jnp.float32, jnp.bfloat16)
LLAMA = cases.LLAMA, cases.LLAMA_META  # halves and interleaved pairs


class Step(NamedTuple):
    """A part that fails or is left out alone; `run()` gives groups and error lines."""

    kind: str
    name: str
    run: Callable[[], Iterator[Group | dict]]


def steps(sizes: Sizes) -> list[Step]:
    """Returns all of them, in order."""
    found = []
    named = cases.unnamed if sizes.quick else lambda case: case
    llama = [named(case) for case in LLAMA]

    def add(kind, run, *args):
        found.append(Step(kind, _name(run, args), partial(run, sizes, *args)))

    def with_dtypes(items):
        if sizes.every_dtype:
            return list(product(items, DTYPES))
        return list(zip(items, cycle(DTYPES), strict=False))

    add("copy", memory.copies)
    add("matmul", memory.products)
    for case, dtype in with_dtypes(llama):
        add("rotation", rotation.timed, case, dtype)
    add("cos_sin", cos_sin.timed)
    add("cos_sin", cos_sin.errors)
    for count, dtype in with_dtypes(sizes.layers):
        add("layers", layers.timed, count, dtype)
    for case in LLAMA:
        add("rotation", rotation.errors, case.layout)
    for table, dtype in with_dtypes(sizes.tables):
        add("lookup", lookup.timed, table, dtype)
    for dtype in DTYPES:
        add("head", head.losses, dtype)
    add("rows", rows.optimizer_steps)
    add("host", host.fetches, jnp.bfloat16)
    for dtype in DTYPES:
        add("patch", patch.timed, dtype)
    add("bias", bias.matrices)
    add("bias", bias.in_attention)
    add("cos_sin", cos_sin.against_pytorch)
    for table, dtype in with_dtypes(sizes.tables):
        add("lookup", lookup.against_pytorch, table, dtype)
    both = named(cases.LLAMA), named(cases.LLAMA_META_FIRST)
    for case, dtype in with_dtypes(both):
        add("rotation", rotation.against_pytorch, case, dtype)
    for layout, dtype in with_dtypes(("half", "interleaved")):
        add("rotation", rotation.forms, layout, dtype)
    for case, dtype in with_dtypes((cases.DECODE,)):
        add("rotation", rotation.decode, case, dtype)
    for case, dtype in with_dtypes([named(case) for case in sizes.models]):
        add("rotation", rotation.timed, case, dtype)
    return found


def _name(run, args):
    """Returns a name such as "timed Llama-3-8B float32"."""
    words = (getattr(a, "name", None) or getattr(a, "__name__", str(a)) for a in args)
    return " ".join([run.__name__, *words])
