"""Positions: integers for exact arithmetic, or floats too for float32 arithmetic."""

import jax.numpy as jnp
import numpy as np

from .._dtypes import compute_dtype
from .arrays import integer_array, number_array
from .out_of_range import INT32_MAX, INT32_MIN, int32_in_range
from .settings import choice

_NUMERICS = ("exact", "float32")
_FRACTIONAL = "; pass numerics='float32' for fractional positions"


def positions_array(name: str, positions, numerics: str, offset: int = 0):
    """Checked positions, and a mask of those that int32 holds with `offset` added.

    `"exact"` takes integers alone. `"float32"` takes floats of 32 bits or more too, and
    does not round them: NumPy's come back as float64, which holds every int32, and
    JAX's in their compute dtype. Integers come back as int32. The mask is `None` where
    every position is valid.
    """
    choice("numerics", numerics, _NUMERICS)
    if numerics == "exact":
        positions = integer_array(name, positions, _FRACTIONAL)
    else:
        positions = number_array(name, positions)
        if jnp.issubdtype(positions.dtype, jnp.floating):
            if isinstance(positions, np.ndarray):
                return positions.astype(np.float64), None
            return positions.astype(compute_dtype(positions.dtype)), None
    bounds = INT32_MIN - min(offset, 0), INT32_MAX + 1 - max(offset, 0)
    hint = f" for position_offset={offset}" if offset else ""
    return int32_in_range(name, positions, *bounds, hint)
