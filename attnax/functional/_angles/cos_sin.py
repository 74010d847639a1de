"""Cos and sin of positions: every pair of them is made here."""

import jax.numpy as jnp
import numpy as np

from ..._checks import (
    array_of_several,
    nan_where_invalid,
    positions_array,
)
from .axes import check_coordinates, checked_axes
from .by_axis import cos_sin_by_axis
from .frequencies import check_finite_in_float32, exact_frequencies, frequencies
from .phase import exact_cos_sin, phase_words
from .product import product_cos_sin

_LEARNED = "; pass numerics='float32' for learned frequencies"


def cos_sin(
    positions,
    inv_freq,
    *,
    axis_of_pair=None,
    num_axes=None,
    numerics="exact",
    argument="positions",
):
    """Cos and sin of `positions * inv_freq`, made once for however many consumers.

    Errors call the positions `argument`; `rope_cos_sin` documents the other arguments.
    """
    positions = array_of_several(argument, positions)
    vector = frequencies(inv_freq)
    axis_of_pair, num_axes = checked_axes(axis_of_pair, num_axes, vector.size)
    if axis_of_pair is not None:
        check_coordinates(argument, positions.shape, num_axes)
    positions, valid = positions_array(argument, positions, numerics)
    if numerics == "exact":
        words = phase_words(exact_frequencies(inv_freq, _LEARNED))
        return cos_sin_of_words(positions, valid, words, axis_of_pair)
    check_finite_in_float32(vector)
    return cos_sin_of_products(positions, valid, vector, axis_of_pair)


def cos_sin_of_words(positions, valid, words, axis_of_pair):
    """Exact cos and sin of int32 `positions` and of words `(2, pairs)`.

    `positions` and `valid` are those of `positions_array`: what is not valid gives NaN.
    """
    cos, sin = cos_sin_by_axis(exact_cos_sin, positions, words, axis_of_pair)
    return _nan_where_invalid(valid, cos, sin, axis_of_pair)


def cos_sin_of_products(positions, valid, inv_freq, axis_of_pair):
    """Cos and sin of products in float32 of `positions` and of a vector `inv_freq`.

    `positions` and `valid` are as in `cos_sin_of_words`.
    """
    positions = jnp.asarray(positions, jnp.float32)
    per_pair = jnp.asarray(inv_freq, jnp.float32)[None]
    cos, sin = cos_sin_by_axis(product_cos_sin, positions, per_pair, axis_of_pair)
    return _nan_where_invalid(valid, cos, sin, axis_of_pair)


def _nan_where_invalid(valid, cos, sin, axis_of_pair):
    """NaN in the pairs that a coordinate out of range drives."""
    if valid is not None and axis_of_pair is not None:
        valid = valid[..., np.asarray(axis_of_pair)]
    return nan_where_invalid(valid, cos), nan_where_invalid(valid, sin)
