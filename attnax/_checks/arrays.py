"""Checks of arrays: their kind and dtype, and what is known of their values."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._dtypes import float_dtype
from .settings import is_number, type_of
from .shapes import check_axes


def array_of(name: str, values):
    """An array as it is; a list, a tuple or a number as a NumPy array."""
    if isinstance(values, jax.Array | np.ndarray):
        return values
    try:
        array = np.asarray(values)
    except (TypeError, ValueError):  # traced values in a list, or uneven lists
        array = None
    if array is None or array.dtype == object:
        raise ValueError(
            f"{name} is {type_of(values)}, but must be an array, "
            "or lists of numbers of equal lengths."
        )
    # NumPy makes float64 of an empty list.
    return array if array.size else array.astype(np.int32)


def array_of_several(name: str, values, hint: str = ""):
    """An array as it is; a list or a tuple as a NumPy array.

    A single number is refused, unlike in `array_of`, and `hint` is its way out.
    """
    if not isinstance(values, jax.Array | np.ndarray | Sequence):
        raise ValueError(
            f"{name} is {type_of(values)}, but must be an array, "
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
    """A mask of bools, or of integers 0 and 1, as an array of bools.

    Every integer but 0 is True where the values are not known.
    """
    mask = array_of(name, mask)
    if mask.dtype == np.bool_:
        return mask
    # An additive mask has floats, with 0 where a bool mask is True.
    if not jnp.issubdtype(mask.dtype, jnp.integer):
        raise ValueError(
            f"{name}.dtype={mask.dtype} must be bool or integer; compare an additive "
            f"mask with 0 first: {name} == 0."
        )
    if is_known(mask):
        known = np.asarray(mask)
        other = first_where(name, known, (known != 0) & (known != 1))
        if other is not None:
            raise ValueError(
                f"{other} must be 0 or 1; compare token ids first: "
                "token_ids != padding_id."
            )
    return mask.astype(bool)


def number_array(name: str, values, *, rule="integer or a real float"):
    """`values` as an array of integers, or of floats of 32 bits or more.

    Floats of 16 bits are refused, because they round what is measured: bfloat16 does
    not hold 257, and float16 does not hold 2049. `rule` is the rule in the error, for a
    caller that then refuses integers too.
    """
    values = array_of(name, values)
    if jnp.issubdtype(values.dtype, jnp.integer):
        return values
    if not jnp.issubdtype(values.dtype, jnp.floating):
        raise ValueError(f"{name}.dtype={values.dtype} must be {rule}.")
    if jnp.finfo(values.dtype).bits < 32:
        raise ValueError(
            f"{name}.dtype={values.dtype} must be float32 or wider: fewer bits have "
            "rounded the values already, and a cast does not undo it; make them in "
            "float32."
        )
    return values


def any_array(name: str, values):
    """`values`, an array of any dtype."""
    if not isinstance(values, jax.Array | np.ndarray):
        raise ValueError(f"{name} is {type_of(values)}, but must be an array.")
    return values


def float_array(name: str, values, *axes: str, nan: bool = True):
    """`values`, an array of a real float dtype with at least the last `axes`.

    Lists are refused, because they do not say the dtype in which to store or multiply
    them. `axes` are the names of the axes in the error. `nan=False` also admits dtypes
    without NaN, for arrays that only enter a product.
    """
    if not isinstance(values, jax.Array | np.ndarray):
        # A record that stands for an array in other places names its own way out.
        asarray = "make it with jnp.asarray, which says the dtype"
        raise ValueError(
            f"{name} is {type_of(values)}, but must be an array of a real "
            f"float dtype; {getattr(values, 'way_out', asarray)}."
        )
    float_dtype(f"{name}.dtype", values.dtype, nan=nan)
    check_axes(name, values, *axes)
    return values


def check_table(name: str, table) -> None:
    """Raises unless a table is of real floats and has rows and columns."""
    float_array(name, table)
    if table.ndim != 2 or 0 in table.shape:
        raise ValueError(
            f"{name}.shape={table.shape} must be (rows, columns), both at least 1."
        )


def is_known(values) -> bool:
    """Whether the values can be read now, on this host, outside a transformation."""
    if isinstance(values, np.ndarray):
        return True
    return not isinstance(values, Tracer) and values.is_fully_addressable


def first_where(name, values, bad):
    """The first bad value in the form `name[0, 3]=value`; `None` if none is bad."""
    if not bad.any():
        return None
    index = tuple(np.argwhere(bad)[0].tolist())
    return f"{name}{list(index) if index else ''}={values[index]}"
