"""Fourier features of points: sinusoids along directions of a matrix."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._dtypes import compute_dtype, float_dtype


def gaussian_fourier_features(
    coordinates: Float[Array | np.ndarray, "*batch num_axes"],
    matrix: Float[Array | np.ndarray, "num_axes num_frequencies"],
) -> Float[Array, "*batch 2*{matrix.shape[1]}"]:
    """Sines, then cosines, of `2 pi * coordinates @ matrix`.

    The sum over the axes is taken in turns, one product after another, and reduced to
    half a turn before `2 pi` enters.

    Args:
        coordinates: Points, from -1 to 1 in SAM: `2 * point / size - 1`, of x and then
            y. `normalized_coordinates(rows, columns)[:, ::-1]` are those of a grid.
        matrix: Turns per unit of each axis, drawn once from a normal distribution and
            stored with the model; SAM's `positional_embedding`. It may be trained.

    Returns:
        float32, or float64 if an argument is.

    Raises:
        ValueError: If `coordinates` do not end in an axis as long as the first of
            `matrix`, or a dtype is not a real float.

    Example:
        >>> gaussian_fourier_features(jnp.array([1.0, 0.0]), jnp.array([[2.0], [9.0]]))
        Array([0., 1.], dtype=float32)

    Reference:
        Tancik et al., Fourier Features Let Networks Learn High Frequency Functions in
        Low Dimensional Domains, 2020, eq. 5, https://arxiv.org/abs/2006.10739;
        `SamPositionalEmbedding` in modeling_sam.py of transformers 5.23.0.
    """
    name = "gaussian_fourier_features"
    if matrix.ndim != 2 or coordinates.shape[-1:] != matrix.shape[:1]:
        raise ValueError(
            f"{name}: {coordinates.shape=} must end in the axes of {matrix.shape=}."
        )
    dtype = compute_dtype(
        float_dtype(name, "coordinates.dtype", coordinates.dtype),
        float_dtype(name, "matrix.dtype", matrix.dtype),
    )
    coordinates, matrix = (jnp.asarray(t, dtype) for t in (coordinates, matrix))
    # Not a dot product: its precision is a setting on accelerators.
    batched = matrix.reshape((1,) * (coordinates.ndim - 1) + matrix.shape)
    turns = jnp.sum(coordinates[..., None] * batched, axis=-2)
    angle = (turns - jnp.round(turns)) * jnp.asarray(2 * math.pi, dtype)
    return jnp.concatenate([jnp.sin(angle), jnp.cos(angle)], axis=-1)
