"""What can be timed: a JAX program, one of PyTorch, or several one after the other.

`start()` compiles, calls once and returns what runs it again, with what is known of
the compiled program.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax

from . import pytorch
from .hlo import kernels, phases


class Started(NamedTuple):
    """A program that is compiled and warm; `facts` go into its record.

    `call()` returns as soon as the program is on its way; `wait` is given what it
    returned and comes back when that is there.
    """

    call: Callable[[], Any]
    wait: Callable[[Any], None]
    facts: dict


@dataclass(frozen=True)
class Program:
    """A function for `jax.jit`. Inputs are arguments, so that XLA cannot fold them."""

    function: Callable
    args: tuple

    def start(self) -> Started:
        """Compiles by XLA."""
        begin = time.perf_counter()
        # A new function, since a program compiled before would come from a cache.
        lowered = jax.jit(lambda *args: self.function(*args)).lower(*self.args)
        compiled = lowered.compile()
        compile_ms = (time.perf_counter() - begin) * 1e3
        call = lambda: compiled(*self.args)
        jax.block_until_ready(call())
        facts = {
            "compile_ms": round(compile_ms, 1),
            "temporary_bytes": _known(_temporary_bytes, compiled),
            "kernels": _known(lambda program: len(kernels(program)), compiled),
            "phase_multiplications": _known(
                lambda program: phases(program.as_text()), compiled
            ),
        }
        return Started(call, jax.block_until_ready, facts)


@dataclass(frozen=True)
class Steps:
    """Steps `function(carry, *args) -> carry`, each from where the last one ended.

    The carry, which `new()` makes, is donated, so that arrays can be written in place.
    """

    function: Callable
    new: Callable[[], Any]
    args: tuple

    def start(self) -> Started:
        """Compiles by XLA, and takes a step."""
        step = jax.jit(lambda *args: self.function(*args), donate_argnums=0)
        begin = time.perf_counter()
        compiled = step.lower(jax.eval_shape(self.new), *self.args).compile()
        compile_ms = (time.perf_counter() - begin) * 1e3
        carry = self.new()

        def call():
            nonlocal carry
            carry = compiled(carry, *self.args)
            return carry

        jax.block_until_ready(call())
        facts = {
            "compile_ms": round(compile_ms, 1),
            "temporary_bytes": _known(_temporary_bytes, compiled),
            "kernels": _known(lambda program: len(kernels(program)), compiled),
        }
        return Started(call, jax.block_until_ready, facts)


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
        """Makes tensors, and compiles if that is asked for."""
        args = tuple(map(pytorch.tensor, self.args))
        begin = time.perf_counter()
        function = pytorch.compile(self.function) if self.compiled else self.function
        if self.cotangent is None:
            call = pytorch.forward(function, args)
        else:
            cotangent = pytorch.tensor(self.cotangent)
            call = pytorch.backward(function, args, self.gradient_of, cotangent)
        pytorch.wait(call())  # the first call compiles
        first_ms = (time.perf_counter() - begin) * 1e3
        facts = {"compile_ms": round(first_ms, 1)} if self.compiled else {}
        return Started(call, pytorch.wait, {**facts, **pytorch.settings()})


@dataclass(frozen=True)
class Later:
    """A program that is made when it starts, so that it fails alone if it fails."""

    make: Callable[[], "Program | TorchProgram"]

    def start(self) -> Started:
        """Makes it, then starts it."""
        return self.make().start()


@dataclass(frozen=True)
class InTurn:
    """Programs of which each starts when the one before is done, as one rival."""

    programs: tuple[Program, ...]

    def start(self) -> Started:
        """Compiles all of them."""
        started = [program.start() for program in self.programs]

        # An accelerator runs what it is given in that order, without a wait.
        in_order = jax.default_backend() != "cpu"

        def call():
            *others, last = started
            for one in others:
                result = one.call()
                if not in_order:
                    one.wait(result)
            return last.call()

        facts = {
            "compile_ms": _over(sum, started, "compile_ms"),
            "temporary_bytes": _over(max, started, "temporary_bytes"),
            "kernels": _over(sum, started, "kernels"),
        }
        return Started(call, started[-1].wait, facts)


def _over(combine, started, name):
    """One fact of several programs; `None` if it is not known of all."""
    values = [one.facts.get(name) for one in started]
    return None if None in values else combine(values)


def _known(fact, compiled):
    """`None` where a backend has no such fact, or another text: time counts more."""
    try:
        return fact(compiled)
    except Exception:
        return None


def _temporary_bytes(compiled):
    analysis = compiled.memory_analysis()  # None on backends that have none
    return None if analysis is None else analysis.temp_size_in_bytes
