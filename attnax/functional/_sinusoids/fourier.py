"""Fourier features of points: sinusoids along directions of a matrix."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._checks import float_array, number_array
from ..._dtypes import compute_dtype, float_dtype
from ..._public import public


@public
def gaussian_fourier_features(
    coordinates: Float[Array | np.ndarray, "*batch num_axes"] | Sequence,
    matrix: Float[Array | np.ndarray, "num_axes num_frequencies"],
) -> Float[Array, "*batch 2*{matrix.shape[1]}"]:
    """Sines, then cosines, of `2 pi * coordinates @ matrix`.

    The product is computed in units of turns and reduced to at most half a turn before
    it is multiplied by `2 pi`. In float32 the error is at most `3.8e-7 * num_axes *
    turns + 5e-7`, where `turns` is the sum of the magnitudes of the products. That is
    5e-6 for 6 turns of two axes, as in SAM, and 5e-3 for 6000.

    Args:
        coordinates: Points, as floats of 32 bits or more. SAM has points `(x, y)` from
            -1 to 1, `2 * point / size - 1`; for a grid these are
            `normalized_coordinates((rows, columns))[:, ::-1]`.
        matrix: Turns per unit of each axis. Models draw it once from a normal
            distribution and store it; SAM's is `positional_embedding`. It may be
            trained.

    Returns:
        float32, or float64 if an argument is float64 in 64-bit mode. The bits are the
        same inside and outside `jit`.

    Raises:
        ValueError: If the last axis of `coordinates` is not as long as the first of
            `matrix`, a dtype is not a real float, or `coordinates` are floats of 16
            bits.

    Example:
        >>> gaussian_fourier_features(jnp.array([1.0, 0.0]), jnp.array([[2.0], [9.0]]))
        Array([0., 1.], dtype=float32)

    Reference:
        Tancik et al., Fourier Features Let Networks Learn High Frequency Functions in
        Low Dimensional Domains, 2020, eq. 5, https://arxiv.org/abs/2006.10739;
        `SamPositionalEmbedding` in modeling_sam.py of transformers 5.23.0.
    """
    coordinates = number_array("coordinates", coordinates, rule="a real float")
    float_dtype("coordinates.dtype", coordinates.dtype)
    float_array("matrix", matrix)
    if matrix.ndim != 2 or coordinates.shape[-1:] != matrix.shape[:1]:
        raise ValueError(
            f"{coordinates.shape=} must end in the axes of {matrix.shape=}."
        )
    # JAX makes float32 of NumPy's float64, unless in 64-bit mode.
    coordinates, matrix = jnp.asarray(coordinates), jnp.asarray(matrix)
    dtype = compute_dtype(coordinates.dtype, matrix.dtype)
    return _fourier_features(coordinates.astype(dtype), matrix.astype(dtype))


# One program, so that XLA fuses the same products and sums into one rounding outside
# `jit` as inside it. Otherwise the angles would differ.
@jax.jit
def _fourier_features(coordinates, matrix):
    # Not a dot product: on accelerators its precision is a setting.
    batched = matrix.reshape((1,) * (coordinates.ndim - 1) + matrix.shape)
    turns = jnp.sum(coordinates[..., None] * batched, axis=-2)
    angle = (turns - jnp.round(turns)) * jnp.asarray(2 * math.pi, turns.dtype)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
