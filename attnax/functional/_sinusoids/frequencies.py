"""Frequencies of sinusoids: a geometric progression, made on the host in float64."""

import math

import numpy as np

from ..._checks import FLOAT32_MAX, FLOAT32_TINY, number
from .._angles.frequencies import EXACT_LIMIT


def geometric_inv_freq(half, base, frequency_shift, position_scale):
    """`position_scale * base ** (-k / (half - frequency_shift))` for each `k < half`.

    A `half` that is not whole, of an odd width, is rounded up for the number of
    frequencies. `position_scale` is a `checked_position_scale`.
    """
    base = number("base", base, 1)
    shift = number("frequency_shift", frequency_shift)
    pairs = math.ceil(half)
    if pairs == 1:  # a shift of 1 would make the exponent 0 / 0
        return np.array([position_scale])
    if shift >= half:
        raise ValueError(f"{frequency_shift=} must be below {half}, half the width.")
    # Python's power, one at a time: NumPy's vector form is allowed to be less exact.
    exponents = [-k / (half - shift) for k in range(pairs)]
    return position_scale * np.array([base**exponent for exponent in exponents])


def checked_position_scale(argument, position_scale, numerics) -> float:
    """A factor of frequencies as a float, in the range that `numerics` can hold."""
    if numerics == "float32":
        return number(argument, position_scale, FLOAT32_TINY, FLOAT32_MAX)
    scale = number(argument, position_scale, positive=True)
    if scale >= EXACT_LIMIT:
        raise ValueError(f"{argument}={position_scale!r} must be below 2**64.")
    return scale
