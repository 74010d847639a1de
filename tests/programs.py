"""Compiled programs, as the tests look at them: what runs, and not how long."""

import math
import re

import jax
import jax.extend

from benchmarks.timing.hlo import kernels, phases

# Machine code that never runs need not be fast; the text of the program is the same.
OPTIONS = {"xla_backend_optimization_level": 0}


def compiled(function, *args):
    return jax.jit(function).lower(*args).compile(OPTIONS)


def put_out(function, *args):
    """Dtype and shape of every array that a kernel of the program puts out.

    What stands inside a kernel does not count: there jax 0.10 shows conversions of
    whole arrays that are carried out element by element.
    """
    found = kernels(compiled(function, *args))
    return [array for kernel in found for array in kernel.arrays]


def array_sizes(jaxpr):
    """The sizes of all arrays that a traced program makes."""
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            yield math.prod(variable.aval.shape)
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from array_sizes(inner)


def loop_bodies(program):
    """The text of every computation that a loop of a compiled program runs."""
    text = program.as_text()
    named = re.findall(r"^(?:ENTRY )?%?([\w.\-]+) \(.*?\n\}", text, re.M | re.S)
    whole = re.finditer(r"^(?:ENTRY )?%?[\w.\-]+ \(.*?\n\}", text, re.M | re.S)
    computations = dict(zip(named, (match[0] for match in whole), strict=True))
    pending, seen = re.findall(r"body=%?([\w.\-]+)", text), set()
    while pending:
        name = pending.pop()
        if name in computations and name not in seen:
            seen.add(name)
            pending += re.findall(r"%([\w.\-]+)", computations[name])
    return [computations[name] for name in seen]


def wide(arrays, above=0):
    """Shapes of the float32 and float64 arrays of more than `above` elements."""
    floats = (shape for dtype, shape in arrays if dtype in ("f32", "f64"))
    return [shape for shape in floats if math.prod(shape) > above]


def phase_multiplications(function, *args):
    return phases(compiled(function, *args).as_text())


def cosines(function, *args):
    return len(re.findall(r" cosine\(", compiled(function, *args).as_text()))
