"""Rules of the frequencies from which angles are made."""

from collections.abc import Sequence

import jax
import numpy as np

from ..._checks import FLOAT32_MAX, array_of_several, first_where, is_known, type_of
from ..._dtypes import float_dtype

# `phase_words` holds the frequencies below it.
EXACT_LIMIT = 2.0**64


def frequencies(inv_freq):
    """A vector of real floats; a list of integers becomes one of float64."""
    array = array_of_several("inv_freq", inv_freq)
    if isinstance(inv_freq, Sequence) and np.issubdtype(array.dtype, np.integer):
        array = array.astype(np.float64)  # 1 may be typed for 1.0
    float_dtype("inv_freq.dtype", array.dtype)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"inv_freq.shape={array.shape} must be one axis of one or more frequencies."
        )
    return array


def exact_frequencies(inv_freq, hint="") -> np.ndarray:
    """A float64 vector on the host whose phases `phase_words` holds.

    Frequencies that may have been rounded to float32 are a `ValueError`, and `hint` is
    its way out.
    """
    array = frequencies(inv_freq)
    if not _is_float64_on_host(inv_freq, array):
        raise ValueError(
            f"inv_freq is {type_of(inv_freq)} of {_kind_of(inv_freq)}, but "
            f"must be a float64 NumPy vector or a list of Python numbers{hint}."
        )
    # NaN is not below it either.
    bad = first_where("inv_freq", array, ~(np.abs(array) < EXACT_LIMIT))
    if bad is not None:
        raise ValueError(f"{bad} must be finite and below 2**64 in magnitude.")
    return np.asarray(array)


def check_finite_in_float32(inv_freq) -> None:
    """A `ValueError` if a known frequency is beyond the range of float32."""
    if is_known(inv_freq):
        array = np.asarray(inv_freq).astype(np.float64)
        # NaN is not within it either.
        bad = first_where("inv_freq", array, ~(np.abs(array) <= FLOAT32_MAX))
        if bad is not None:
            raise ValueError(f"{bad} must be finite in float32.")


def _is_float64_on_host(given, array):
    if isinstance(given, Sequence):  # NumPy makes float64 of [np.float32(0.1), 1.0]
        return all(isinstance(f, float | int | np.integer) for f in given)
    return not isinstance(given, jax.Array) and array.dtype == np.float64


def _kind_of(inv_freq):
    if isinstance(inv_freq, Sequence):
        return " and ".join(dict.fromkeys(type(f).__name__ for f in inv_freq))
    return inv_freq.dtype
