"""Checks of static settings: integers, numbers, choices, switches and sizes."""

import math
import operator
from collections.abc import Mapping, Set
from typing import Any

import jax
import numpy as np

# The range of the normal numbers of float32. Smaller ones are flushed to zero.
FLOAT32_TINY = float(np.finfo(np.float32).tiny)
FLOAT32_MAX = float(np.finfo(np.float32).max)


def is_integer(value) -> bool:
    """Whether a static setting is an integer; 2.0 and True are not."""
    return _as_integer(value) is not None


def is_number(value) -> bool:
    """Whether a static setting is a finite real number; True and "2" are not.

    A NumPy array without axes is a number. A JAX array is not, since it may be traced.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool) or not isinstance(
        value, int | float | np.integer | np.floating
    ):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int past the range of float64
        return False


def integer(name: str, value, low: int | None = None, high: int | None = None) -> int:
    """A static integer in `[low, high]` as an int."""
    number = _as_integer(value)
    if number is None or not _lies_in(number, low, high):
        raise ValueError(f"{name}={value!r} must be {_kind('integer', low, high)}.")
    return number


def positive_integer(name: str, value) -> int:
    """A static integer of at least 1 as an int."""
    return integer(name, value, 1)


def positive_multiple(name: str, value, unit: int, reason: str = "") -> int:
    """A static positive multiple of `unit` as an int; errors end in `reason`."""
    number = _as_integer(value)
    if number is None or number <= 0 or number % unit != 0:
        rule = "positive and even" if unit == 2 else f"a positive multiple of {unit}"
        raise ValueError(f"{name}={value!r} must be {rule}{reason}.")
    return number


def integers(name: str, values) -> tuple[int, ...]:
    """A sequence of static integers as ints; a set is refused, for it has no order."""
    try:
        several = None if isinstance(values, Set | Mapping) else tuple(values)
    except TypeError:
        several = None
    if several is None:
        raise ValueError(f"{name}={values!r} must be a sequence of integers.")
    numbers = tuple(n for n in map(_as_integer, several) if n is not None)
    if len(numbers) < len(several):
        raise ValueError(f"{name}={several} must be integers.")
    return numbers


def permutation(name: str, order, num_axes: int) -> tuple[int, ...]:
    """An order of axes, which names each of them once, as ints."""
    numbers = integers(name, order)
    if sorted(numbers) != list(range(num_axes)):
        raise ValueError(
            f"{name}={order!r} must name each of the {num_axes} axes once, from 0 to "
            f"{num_axes - 1}."
        )
    return numbers


def grid_sizes(name: str, grid, *, most_axes: int = 2) -> tuple[int, ...]:
    """The positive sizes of a grid of 2 to `most_axes` axes as ints."""
    array = isinstance(grid, np.ndarray) and grid.ndim > 0
    sizes = _positive_integers(tuple(grid) if array else grid)
    if not 2 <= len(sizes) <= most_axes:
        frames = " or (frames, rows, columns)" if most_axes > 2 else ""
        raise ValueError(
            f"{name}={grid!r} must be (rows, columns){frames}, of positive integers."
        )
    return sizes


def side_lengths(name: str, size, *, most_axes: int = 3) -> tuple[int, ...]:
    """The positive sides of an image or a patch, of 2 to `most_axes` axes, as ints.

    One number stands for the height and the width.
    """
    several = isinstance(size, tuple | list)
    sides = _positive_integers(size if several else (size, size))
    if not 2 <= len(sides) <= most_axes:
        video = ", or for video (frames, height, width)" if most_axes > 2 else ""
        raise ValueError(
            f"{name}={size!r} must be a positive integer or (height, width){video}."
        )
    return sides


def number(
    name: str,
    value,
    low: float | int | None = None,
    high: float | int | None = None,
    *,
    positive: bool = False,
) -> float:
    """A static finite number in `[low, high]` as a float.

    `positive=True` stands for an open lower end at 0.
    """
    if (
        not is_number(value)
        or not _lies_in(value, low, high)
        or (positive and value <= 0)
    ):
        kind = "finite and positive" if positive else _kind("finite number", low, high)
        raise ValueError(f"{name}={value!r} must be {kind}.")
    return float(value)


def choice(name: str, value, choices) -> Any:
    """`value`, which is one of `choices` and of the same type."""
    if not any(type(value) is type(one) and value == one for one in choices):
        *others, last = map(repr, choices)
        raise ValueError(f"{name}={value!r} must be {', '.join(others)} or {last}.")
    return value


def check_flags(**flags) -> None:
    """Raises unless each flag is True or False; Python takes any text for True."""
    for name, flag in flags.items():
        if not isinstance(flag, bool | np.bool_):
            raise ValueError(f"{name}={flag!r} must be True or False.")


def _as_integer(value) -> int | None:
    if isinstance(value, bool | np.bool_):
        return None
    try:
        return operator.index(value)
    except TypeError:
        return None


def _positive_integers(values) -> tuple[int, ...]:
    """A tuple or list of positive integers as ints; `()` for anything else."""
    several = isinstance(values, tuple | list)
    numbers = tuple(map(_as_integer, values)) if several else ()
    positive = tuple(n for n in numbers if n is not None and n > 0)
    return positive if len(positive) == len(numbers) else ()


def _lies_in(number, low, high):
    return (low is None or low <= number) and (high is None or number <= high)


def _kind(noun, low, high):
    """The rule of a number in words, such as "a positive integer"."""
    article = "an" if noun[0] in "aeiou" else "a"
    low, high = (f"{t:g}" if isinstance(t, float) else t for t in (low, high))
    if low is not None and high is not None:
        return f"{article} {noun} in [{low}, {high}]"
    if high is not None:
        return f"{article} {noun} of at most {high}"
    if low is None:
        return f"{article} {noun}"
    if noun == "integer" and low == 1:
        return "a positive integer"
    return f"{article} {noun} of at least {low}"


def type_of(value) -> str:
    """The type of a value with its article, such as "an int", for an error."""
    # The class of a JAX array has a private name, and under `jit` another one.
    name = "jax.Array" if isinstance(value, jax.Array) else type(value).__name__
    vowel = name[0] in "aeiouAEIOU" or name == "ndarray"
    return f"{'an' if vowel else 'a'} {name}"


def plain_number(value) -> Any:
    """A NumPy number as a Python number, which hashes like its equals.

    Every other value comes back as it is.
    """
    is_number = isinstance(value, np.generic | np.ndarray) and value.ndim == 0
    return value.item() if is_number else value


def exceeds(size, limit) -> bool | None:
    """Whether a size is above a limit; `None` where a symbol leaves it open."""
    try:
        return bool(size > limit)
    except Exception as error:
        # JAX 0.10.0 has no public name for this class.
        if type(error).__name__ != "InconclusiveDimensionOperation":
            raise
        return None
