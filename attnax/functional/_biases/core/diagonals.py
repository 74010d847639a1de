"""The kernel of products by distance: bands of rows to matrices, and back."""

import jax
import jax.numpy as jnp
from jax import lax

from .linear_pair import Linear, linear_pair, with_last_axes


def diagonals(band, k_len):
    """The matrix `out[..., i, j] = band[..., i, q_len - 1 - i + j]`.

    `band` is `(..., q_len, q_len + k_len - 1)`, and the result `(..., q_len, k_len)`.
    """
    return _diagonals_p.bind(band, k_len=k_len)


def _diagonals(band, *, k_len):
    q_len = band.shape[-2]
    return _slices(band, jnp.arange(q_len - 1, -1, -1), k_len)


def _band(matrix, *, k_len):
    """Each row of the matrix at its place in the band, with zeros on both sides."""
    q_len = matrix.shape[-2]
    sides = [(0, 0)] * (matrix.ndim - 1) + [(q_len - 1, q_len - 1)]
    return _slices(jnp.pad(matrix, sides), jnp.arange(q_len), q_len + k_len - 1)


def _slices(x, starts, length):
    """`length` numbers of each row, from its start on."""

    def slice_from(row, start):
        return lax.dynamic_slice_in_dim(row, start, length, -1)

    return jax.vmap(slice_from, in_axes=(-2, 0), out_axes=-2)(x, starts)


def _matrix_of(band, *, k_len):
    return with_last_axes(band, 1, (k_len,), band.dtype)


def _band_of(matrix, *, k_len):
    return with_last_axes(matrix, 1, (matrix.shape[-2] + k_len - 1,), matrix.dtype)


_diagonals_p, _ = linear_pair(
    Linear("attnax_diagonals", _diagonals, _matrix_of),
    Linear("attnax_band", _band, _band_of),
    settings=("k_len",),
)
