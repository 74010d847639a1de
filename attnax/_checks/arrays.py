"""Rules of arrays: their kind, dtype and axes, and what is known of their values."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._dtypes import float_dtype
from .settings import is_number


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


def integer_array(name: str, values, hint: str = ""):
    """`values` as an array of integers; `hint` is the way out for another dtype."""
    values = array_of(name, values)
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise ValueError(f"{name}.dtype={values.dtype} must be integer{hint}.")
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


def float_array(name: str, values, *axes: str):
    """`values`, which must be an array of a real float dtype.

    Lists are refused: to read them, a dtype would have to be chosen for what is stored
    or multiplied. `axes` are names of the last axes, for the error where there are
    fewer.
    """
    if not isinstance(values, jax.Array | np.ndarray):
        raise ValueError(
            f"{name} is a {type(values).__name__}, but must be an array of a real "
            "float dtype; make it with jnp.asarray, which says the dtype."
        )
    float_dtype(f"{name}.dtype", values.dtype)
    if values.ndim < len(axes):
        raise ValueError(
            f"{name}.shape={values.shape} must be (..., {', '.join(axes)})."
        )
    return values


def check_table(name: str, table) -> None:
    """Raises unless a table is of real floats and has rows and columns."""
    float_array(name, table)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(f"{name}.shape={table.shape} must be two axes of one or more.")


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
