"""Every rule of an argument, once: settings, arrays, and values out of range.

Values out of range are an error where they are known, and a documented NaN elsewhere.
"""

import math
import operator
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

# What to do with one position where each token has its own.
COUNT_FROM = "; to count from it on, pass it plus jnp.arange(seq_len)"


def is_integer(value) -> bool:
    """Whether a static setting is an integer: no float, however round, and no bool."""
    return _as_integer(value) is not None


def is_number(value) -> bool:
    """Whether a static setting is a finite real number: no bool, no text.

    NumPy's arrays without axes are numbers; JAX's may be traced, and are not static.
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
    """A static integer as an int; a `ValueError` unless it lies in `[low, high]`."""
    number = _as_integer(value)
    if number is None or not _lies_in(number, low, high):
        raise ValueError(f"{name}={value!r} must be {_kind('integer', low, high)}.")
    return number


def positive_integer(name: str, value) -> int:
    """A static size as an int."""
    return integer(name, value, 1)


def positive_multiple(name: str, value, unit: int) -> int:
    """A static size as an int; a `ValueError` unless it is a multiple of `unit`."""
    number = _as_integer(value)
    if number is None or number <= 0 or number % unit != 0:
        rule = "positive and even" if unit == 2 else f"a positive multiple of {unit}"
        raise ValueError(f"{name}={value!r} must be {rule}.")
    return number


def integers(name: str, values) -> tuple[int, ...]:
    """Several static integers as ints."""
    try:
        values = tuple(values)
    except TypeError:
        raise ValueError(f"{name}={values!r} must be several integers.") from None
    numbers = tuple(n for n in map(_as_integer, values) if n is not None)
    if len(numbers) < len(values):
        raise ValueError(f"{name}={values} must be integers.")
    return numbers


def grid_sizes(name: str, grid, *, most_axes: int = 2) -> tuple[int, ...]:
    """The sizes of a grid of two axes or more as ints."""
    sizes = tuple(grid) if isinstance(grid, tuple | list | np.ndarray) else ()
    numbers = tuple(n for n in map(_as_integer, sizes) if n is not None and n > 0)
    if not 2 <= len(sizes) <= most_axes or len(numbers) < len(sizes):
        frames = " or (frames, rows, columns)" if most_axes > 2 else ""
        raise ValueError(
            f"{name}={grid!r} must be (rows, columns){frames}, of positive integers."
        )
    return numbers


def number(
    name: str,
    value,
    low: float | None = None,
    high: float | None = None,
    *,
    positive: bool = False,
) -> float:
    """A static finite number as a float; a `ValueError` unless in `[low, high]`."""
    if (
        not is_number(value)
        or not _lies_in(value, low, high)
        or (positive and value <= 0)
    ):
        kind = "finite and positive" if positive else _kind("finite number", low, high)
        raise ValueError(f"{name}={value!r} must be {kind}.")
    return float(value)


def choice(name: str, value, choices) -> Any:
    """`value`; a `ValueError` unless it is one of `choices`."""
    if not any(type(value) is type(one) and value == one for one in choices):
        *others, last = map(repr, choices)
        raise ValueError(f"{name}={value!r} must be {', '.join(others)} or {last}.")
    return value


def check_flags(**flags) -> None:
    """A `ValueError` unless switches are True or False; a text would count as True."""
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


def _lies_in(number, low, high):
    return (low is None or low <= number) and (high is None or number <= high)


def _kind(noun, low, high):
    """What a number must be, in words: "a positive integer"."""
    article = "an" if noun[0] in "aeiou" else "a"
    if low is not None and high is not None:
        return f"{article} {noun} in [{low}, {high}]"
    if high is not None:
        return f"{article} {noun} of at most {high}"
    if low is None:
        return f"{article} {noun}"
    return f"a positive {noun}" if low == 1 else f"{article} {noun} of at least {low}"


def plain_number(value):
    """A number of NumPy without axes as Python's, which hashes; all else as it is."""
    is_array = isinstance(value, np.ndarray) and value.ndim == 0
    return value.item() if is_array else value


def exceeds(size, limit) -> bool | None:
    """Whether a size is above a limit; `None` for a symbol that may or may not be."""
    try:
        return bool(size > limit)
    except Exception as error:
        # By its name, for JAX 0.10.0 has no public one for the class.
        if type(error).__name__ != "InconclusiveDimensionOperation":
            raise
        return None


def array_of(name: str, values):
    """`values` as they are if an array; lists, tuples and numbers as a NumPy array."""
    if isinstance(values, jax.Array | np.ndarray):
        return values
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # traced values in a list, or uneven lists
        array = None
    if array is None or array.dtype == object:
        raise ValueError(
            f"{name} is a {type(values).__name__}, but must be an array, "
            "or lists of numbers of equal lengths."
        )
    # NumPy makes float64 of a list of nothing.
    return array if array.size else array.astype(np.int32)


def array_of_several(name: str, values, hint: str = ""):
    """As `array_of`, but a single number that is no array is a `ValueError`.

    `hint` is the way out for such a number.
    """
    if not isinstance(values, jax.Array | np.ndarray | Sequence):
        raise ValueError(
            f"{name} is a {type(values).__name__}, but must be an array, "
            f"or lists of numbers{hint if is_number(values) else ''}."
        )
    return array_of(name, values)


def integer_array(name: str, values):
    """`values` as an array of integers."""
    values = array_of(name, values)
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise ValueError(f"{name}.dtype={values.dtype} must be integer.")
    return values


def bool_array(name: str, mask):
    """A mask as an array of bools; integers of 0 and 1 are bools as well.

    Where the values are not known, every integer that is not 0 is True.
    """
    mask = array_of(name, mask)
    if mask.dtype == np.bool_:
        return mask
    # An additive mask, which is of floats, would be read inside out.
    if not jnp.issubdtype(mask.dtype, jnp.integer):
        raise ValueError(
            f"{name}.dtype={mask.dtype} must be bool or integer; compare "
            f"first: of an additive mask, {name} == 0 is the mask."
        )
    if is_known(mask):
        known = np.asarray(mask)
        other = first_where(name, known, (known != 0) & (known != 1))
        if other is not None:
            raise ValueError(
                f"{other} must be 0 or 1; compare first: of token ids, "
                "token_ids != padding_id is the mask."
            )
    return mask.astype(bool)


def check_axis(name: str, array, axis: str = "seq_len") -> None:
    """The rule of arrays along whose last axis something is counted."""
    if array.ndim == 0:
        raise ValueError(f"{name}.shape=() must be (..., {axis}).")


def number_array(name: str, values, *, rule="integer or a real float"):
    """`values` as an array of integers, or of floats that hold what is measured.

    Floats of 16 bits do not: bfloat16 has no 257, and float16 no 2049.
    """
    values = array_of(name, values)
    if jnp.issubdtype(values.dtype, jnp.integer):
        return values
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"{name}.dtype={values.dtype} must be {rule}.")
    if jnp.finfo(values.dtype).bits < 32:
        raise ValueError(
            f"{name}.dtype={values.dtype} must be float32 or wider: fewer "
            "bits have rounded the values already, and a cast brings nothing back; "
            "make them in float32."
        )
    return values


def int32_in_range(
    name: str,
    values,
    lower: int = INT32_MIN,
    upper: int = INT32_MAX + 1,
    hint: str = "",
):
    """`values` as int32, and a mask of those in `[lower, upper)` and in int32.

    The mask is `None` where nothing can be out of range: values known on the host were
    checked there (`ValueError` naming the first bad one, with `hint` as the way out),
    or the dtype admits no other.
    """
    lower, upper = max(lower, INT32_MIN), min(upper, INT32_MAX + 1)
    values = integer_array(name, values)
    info = jnp.iinfo(values.dtype)
    if lower <= info.min and info.max < upper:
        return jnp.asarray(values, jnp.int32), None
    if is_known(values):
        _check_on_host(name, np.asarray(values), lower, upper, hint)
        return jnp.asarray(values, jnp.int32), None

    if info.bits < 32:  # widened first, so that the bounds are representable
        values = values.astype(jnp.int32)
    valid = None
    if lower > info.min:
        valid = values >= jnp.asarray(lower, values.dtype)
    if upper <= info.max:
        below = values < jnp.asarray(upper, values.dtype)
        valid = below if valid is None else valid & below
    return values.astype(jnp.int32), valid


def nan_where_invalid(valid, x):
    """`x` with NaN in the rows (all axes past those of `valid`) that are not valid."""
    if valid is None:
        return x
    valid = valid.reshape(valid.shape + (1,) * (x.ndim - valid.ndim))
    return jnp.where(valid, x, nan_unless(valid, x.dtype))


def nan_unless(valid, dtype):
    """0 where `valid`, else NaN, which is nowhere before: `jax_debug_nans` looks."""
    nan = np.asarray(jnp.nan, dtype)
    bits = nan.view(f"u{nan.itemsize}")
    bits = jnp.where(valid, jnp.zeros_like(bits), bits)
    return lax.bitcast_convert_type(bits, nan.dtype)


def is_known(values) -> bool:
    """Whether the values can be read now: on this host, outside a transformation."""
    if isinstance(values, np.ndarray):
        return True
    return not isinstance(values, Tracer) and values.is_fully_addressable


def first_where(name, values, bad):
    """`name[0, 3]=value` of the first value that is bad, or `None` if none is."""
    if not bad.any():
        return None
    index = tuple(np.argwhere(bad)[0].tolist())
    return f"{name}{list(index) if index else ''}={values[index]}"


def _check_on_host(name, values, lower, upper, hint):
    first = first_where(name, values, (values < lower) | (values >= upper))
    if first is not None:
        raise ValueError(f"{first} must lie in [{lower}, {upper}){hint}.")
