"""What can be timed: a JAX program, one of PyTorch, or several one after the other.

`start()` compiles, calls once and returns what runs it again, with what is known of
the compiled program.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax

from . import _torch
from ._hlo import kernels


class Started(NamedTuple):
    """A program that is compiled and warm; `facts` go into its record."""

    run: Callable[[], None]
    facts: dict


@dataclass(frozen=True)
class Program:
    """A function for `jax.jit`. Inputs are arguments, so that XLA cannot fold them."""

    function: Callable
    args: tuple

    def start(self) -> Started:
        begin = time.perf_counter()
        compiled = jax.jit(self.function).lower(*self.args).compile()
        compile_ms = (time.perf_counter() - begin) * 1e3
        run = lambda: jax.block_until_ready(compiled(*self.args))
        run()
        facts = {
            "compile_ms": round(compile_ms, 1),
            "temporary_bytes": _temporary_bytes(compiled),
            "kernels": len(kernels(compiled)),
        }
        return Started(run, facts)


@dataclass(frozen=True)
class TorchProgram:
    """A function of PyTorch tensors, eager or through `torch.compile`.

    `args` are JAX arrays, whose values it gets as tensors. With a `cotangent`, the
    backward pass alone is timed, towards the argument `gradient_of`.
    """

    function: Callable
    args: tuple
    compiled: bool = False
    cotangent: jax.Array | None = None
    gradient_of: int = 0

    def start(self) -> Started:
        args = tuple(map(_torch.tensor, self.args))
        begin = time.perf_counter()
        function = _torch.compile(self.function) if self.compiled else self.function
        if self.cotangent is None:
            run = _torch.forward(function, args)
        else:
            cotangent = _torch.tensor(self.cotangent)
            run = _torch.backward(function, args, self.gradient_of, cotangent)
        run()  # the first call compiles
        first_ms = (time.perf_counter() - begin) * 1e3
        facts = {"compile_ms": round(first_ms, 1)} if self.compiled else {}
        return Started(run, {**facts, "torch": _torch.version()})


@dataclass(frozen=True)
class InTurn:
    """Programs that run one after the other, as one rival."""

    programs: tuple[Program, ...]

    def start(self) -> Started:
        started = [program.start() for program in self.programs]

        def run():
            for one in started:
                one.run()

        names = started[0].facts
        return Started(
            run, {n: sum(one.facts[n] or 0 for one in started) for n in names}
        )


def _temporary_bytes(compiled):
    analysis = compiled.memory_analysis()  # None on backends that have none
    return None if analysis is None else analysis.temp_size_in_bytes
