"""Out-of-range policy: an error where values are known, documented NaN elsewhere."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1


def is_integer(value) -> bool:
    """Whether a static setting is an integer: no float, however round, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def positive_integer(function: str, name: str, size) -> int:
    """A static size as an int, however it is typed."""
    if not is_integer(size) or size <= 0:
        raise ValueError(f"{function}: {name}={size!r} must be a positive integer.")
    return int(size)


def int32_in_range(
    function: str,
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
    if not isinstance(values, jax.Array):
        values = np.asarray(values)
    if not jnp.issubdtype(values.dtype, jnp.integer):
        raise ValueError(f"{function}: {name}.dtype={values.dtype} must be integer.")
    info = jnp.iinfo(values.dtype)
    if lower <= info.min and info.max < upper:
        return jnp.asarray(values, jnp.int32), None
    if is_known(values):
        _check_on_host(function, name, np.asarray(values), lower, upper, hint)
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
    return jnp.where(valid, x, jnp.asarray(jnp.nan, x.dtype))


def is_known(values) -> bool:
    """Whether the values can be read now: on this host, outside a transformation."""
    if isinstance(values, np.ndarray):
        return True
    return not isinstance(values, Tracer) and values.is_fully_addressable


def _check_on_host(function, name, values, lower, upper, hint):
    bad = (values < lower) | (values >= upper)
    if bad.any():
        index = tuple(np.argwhere(bad)[0].tolist())
        first = f"{name}{list(index) if index else ''}={values[index]}"
        raise ValueError(f"{function}: {first} must lie in [{lower}, {upper}){hint}.")
