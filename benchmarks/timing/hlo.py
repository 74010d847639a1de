"""Kernels of a compiled program, read from its text for tests and benchmarks."""

import re
from typing import NamedTuple

import jax

# They name or group values and run nothing.
_NO_KERNEL = {
    "after-all",
    "bitcast",
    "constant",
    "get-tuple-element",
    "opt-barrier",
    "parameter",
    "partition-id",
    "replica-id",
    "tuple",
}
# They run other computations, whose kernels are counted in their place.
_CONTROL = {"call", "conditional", "while"}
# What devices send each other. An accelerator may start it and be done with it later.
_COLLECTIVES = re.compile(
    r"(all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(-start)?"
)


class Instruction(NamedTuple):
    """One line of a computation, such as `%x = f32[2,3]{1,0} add(%a, %b)`."""

    type: str
    opcode: str
    line: str

    @property
    def arrays(self) -> list[tuple[str, tuple[int, ...]]]:
        """Dtype and shape of every array that it puts out."""
        return [
            (dtype, tuple(int(size) for size in sizes.split(",") if size))
            for dtype, sizes in re.findall(r"\b([a-z]\w*)\[([\d,]*)\]", self.type)
        ]


def kernels(compiled: jax.stages.Compiled) -> list[Instruction]:
    """The instructions that run on the device, as they are written in the program.

    What stands inside a fusion is part of its kernel. What a loop repeats counts once,
    and both branches of a condition count.
    """
    computations, entry = _parse(compiled.as_text())
    found, pending, seen = [], [entry], set()
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        for instruction in computations[name]:
            if instruction.opcode in _CONTROL:
                pending += _called(instruction.line)
            elif not _runs_nothing(instruction.opcode):
                found.append(instruction)
    return found


def collectives(compiled: jax.stages.Compiled) -> list[Instruction]:
    """The kernels of a program in which devices exchange arrays."""
    found = kernels(compiled)
    return [kernel for kernel in found if _COLLECTIVES.fullmatch(kernel.opcode)]


def phases(text: str) -> int:
    """Returns how many multiplications of unsigned integers a program's text has.

    The phase of exact cos and sin has some, and nothing else in attnax has any: if
    cos and sin are made again somewhere, there are more of them.
    """
    return len(re.findall(r"= u32\[[^\]]*\]\S* multiply\(", text))


def _runs_nothing(opcode):
    # Accelerators have pairs of `copy-start` and `copy-done`, of which one does it.
    return opcode in _NO_KERNEL or opcode.endswith("-done")


def _parse(text):
    """Instructions by computation, and the name of the first to run."""
    computations, entry, name = {}, None, None
    for line in text.splitlines():
        if head := re.match(r"(ENTRY )?%?([\w.\-]+) \(.*\{$", line):
            name = head[2]
            computations[name] = []
            entry = name if head[1] else entry
        elif instruction := _instruction(line):
            computations[name].append(instruction)
    return computations, entry


def _instruction(line):
    match = re.match(r"\s+(?:ROOT )?%?[\w.\-]+ = (\(.*?\)|\S+) ([\w\-]+)\(", line)
    return Instruction(match[1], match[2], line) if match else None


def _called(line):
    single = re.findall(
        r"(?:to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)",
        line,
    )
    branches = re.search(r"branch_computations=\{(.*?)\}", line)
    return single + (re.findall(r"%?([\w.\-]+)", branches[1]) if branches else [])
