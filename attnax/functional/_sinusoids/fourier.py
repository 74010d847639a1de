"""Fourier features of points: sinusoids along directions of a matrix."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._checks import number_array
from ..._dtypes import compute_dtype, float_dtype
from ..._public import public


@public
def gaussian_fourier_features(
    coordinates: Float[Array | np.ndarray, "*batch num_axes"] | Sequence,
    matrix: Float[Array | np.ndarray, "num_axes num_frequencies"],
) -> Float[Array, "*batch 2*{matrix.shape[1]}"]:
    """Sines, then cosines, of `2 pi * coordinates @ matrix`.

    The sum over the axes is taken in turns, one product after another, and reduced to
    half a turn before `2 pi` enters. In float32 the error is at most `3.8e-7 * num_axes
    * turns + 5e-7`, where `turns` is the sum of the magnitudes of the products: 5e-6
    for 6 turns, as SAM has them, and 5e-3 for 6000.

    Args:
        coordinates: Points, as floats of 32 bits or more, from -1 to 1 in SAM:
            `2 * point / size - 1`, of x and then y.
            `normalized_coordinates((rows, columns))[:, ::-1]` are those of a grid.
        matrix: Turns per unit of each axis, drawn once from a normal distribution and
            stored with the model; SAM's `positional_embedding`. It may be trained.

    Returns:
        float32, or float64 if an argument is (in 64-bit mode). The same bits in and
        outside `jit`.

    Raises:
        ValueError: If `coordinates` do not end in an axis as long as the first of
            `matrix`, a dtype is not a real float, or that of `coordinates` has 16 bits.

    Example:
        >>> gaussian_fourier_features(jnp.array([1.0, 0.0]), jnp.array([[2.0], [9.0]]))
        Array([0., 1.], dtype=float32)

    Reference:
        Tancik et al., Fourier Features Let Networks Learn High Frequency Functions in
        Low Dimensional Domains, 2020, eq. 5, https://arxiv.org/abs/2006.10739;
        `SamPositionalEmbedding` in modeling_sam.py of transformers 5.23.0.
    """
    coordinates = number_array("coordinates", coordinates)
    if matrix.ndim != 2 or coordinates.shape[-1:] != matrix.shape[:1]:
        raise ValueError(
            f"{coordinates.shape=} must end in the axes of {matrix.shape=}."
        )
    # First, as NumPy's float64 is JAX's float32 unless in 64-bit mode.
    coordinates, matrix = jnp.asarray(coordinates), jnp.asarray(matrix)
    dtype = compute_dtype(
        float_dtype("coordinates.dtype", coordinates.dtype),
        float_dtype("matrix.dtype", matrix.dtype),
    )
    return _fourier_features(coordinates.astype(dtype), matrix.astype(dtype))


# One program, so that a product and a sum that XLA fuses into one rounding are fused
# outside `jit` too; the difference is in the angle, which entries multiply.
@jax.jit
def _fourier_features(coordinates, matrix):
    # Not a dot product: its precision is a setting on accelerators.
    batched = matrix.reshape((1,) * (coordinates.ndim - 1) + matrix.shape)
    turns = jnp.sum(coordinates[..., None] * batched, axis=-2)
    angle = (turns - jnp.round(turns)) * jnp.asarray(2 * math.pi, turns.dtype)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
