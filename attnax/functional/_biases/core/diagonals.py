"""Matrices as diagonals of a band: how one becomes the other.

Row `i` of a band is that of a matrix, moved to the right by `q_len - 1 - i` places, so
that all pairs of a distance stand in one column. Products of queries with the rows of
all distances are such a band.
"""

import jax
import jax.numpy as jnp
from jax import lax

from .linear_pair import Linear, linear_pair, with_last_axes


def matrix_of_band(band, k_len):
    """The matrix `out[..., i, j] = band[..., i, q_len - 1 - i + j]`.

    `band` is `(..., q_len, q_len + k_len - 1)`, and the result `(..., q_len, k_len)`.
    """
    return _matrix_p.bind(band, k_len=k_len)


def band_of_matrix(matrix):
    """The band with zeros where no number of the matrix stands, the transpose."""
    return _band_p.bind(matrix, k_len=matrix.shape[-1])


def _matrix(band, *, k_len):
    """Equal steps through the band in memory, which reshapes cut into rows."""
    *lead, q_len, width = band.shape
    if q_len == 1:
        return band
    flat = band.reshape(*lead, q_len * width)[..., q_len - 1 :]
    flat = flat[..., : q_len * (width - 1)].reshape(*lead, q_len, width - 1)
    return flat[..., :k_len]


def _band(matrix, *, k_len):
    *lead, q_len, _ = matrix.shape
    if q_len == 1:
        return matrix
    width, zero = q_len + k_len - 1, jnp.zeros((), matrix.dtype)
    sides = [(0, 0, 0)] * len(lead)
    flat = lax.pad(matrix, zero, [*sides, (0, 0, 0), (0, q_len - 2, 0)])
    flat = flat.reshape(*lead, q_len * (width - 1))
    flat = lax.pad(flat, zero, [*sides, (q_len - 1, 1, 0)])
    return flat.reshape(*lead, q_len, width)


def _matrix_by_slices(band, *, k_len):
    """The same by slices, which CPUs copy as fast as memory goes, and bands too."""
    return _slices(band, jnp.arange(band.shape[-2] - 1, -1, -1), k_len)


def _band_by_slices(matrix, *, k_len):
    q_len = matrix.shape[-2]
    sides = [(0, 0)] * (matrix.ndim - 1) + [(q_len - 1, q_len - 1)]
    return _slices(jnp.pad(matrix, sides), jnp.arange(q_len), q_len + k_len - 1)


def _slices(x, starts, length):
    """`length` numbers of each row, from its own start on."""

    def slice_from(row, start):
        return lax.dynamic_slice_in_dim(row, start, length, -1)

    return jax.vmap(slice_from, in_axes=(-2, 0), out_axes=-2)(x, starts)


def _matrix_type(band, *, k_len):
    return with_last_axes(band, 1, (k_len,), band.dtype)


def _band_type(matrix, *, k_len):
    return with_last_axes(matrix, 1, (matrix.shape[-2] + k_len - 1,), matrix.dtype)


_matrix_p, _band_p = linear_pair(
    Linear("attnax_matrix_of_band", _matrix, _matrix_type, on_cpu=_matrix_by_slices),
    Linear("attnax_band_of_matrix", _band, _band_type, on_cpu=_band_by_slices),
    settings=("k_len",),
)
