"""Positions for exact arithmetic, and for float32 arithmetic."""

import jax.numpy as jnp
import numpy as np

from .._dtypes import compute_dtype
from .arrays import array_of, number_array
from .out_of_range import INT32_MAX, INT32_MIN, int32_in_range
from .settings import choice

NUMERICS = ("exact", "float32")


def positions_array(name: str, positions, numerics: str, offset: int = 0):
    """Checked positions, and a mask of those that int32 holds with `offset` added.

    `"exact"` takes integers alone. `"float32"` takes floats of 32 bits or more too;
    they come back unrounded: float64 if they are NumPy's, which holds every int32, or
    else in their compute dtype. Integers come back as int32. The mask is `None` where
    every position is valid, as in `int32_in_range`.
    """
    choice("numerics", numerics, NUMERICS)
    if numerics == "float32":
        positions = number_array(name, positions)
    else:
        positions = array_of(name, positions)
    dtype = positions.dtype
    if numerics == "float32" and jnp.issubdtype(dtype, jnp.floating):
        if isinstance(positions, np.ndarray):
            return positions.astype(np.float64), None
        return positions.astype(compute_dtype(dtype)), None
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(
            f"{name}.dtype={dtype} must be integer for numerics='exact'; pass "
            "numerics='float32' for fractional positions."
        )
    bounds = INT32_MIN - min(offset, 0), INT32_MAX + 1 - max(offset, 0)
    hint = f" for position_offset={offset}" if offset else ""
    return int32_in_range(name, positions, *bounds, hint)
