"""Bands to matrices and back, in the form of CPUs and in that of other devices."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits

from attnax.functional._biases.core import diagonals

SHAPES = pytest.mark.parametrize("q_len, k_len", ((1, 4), (3, 1), (4, 6)))
DTYPES = pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))


def drawn(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def places(q_len, k_len):
    """Where in its row of the band each number of the matrix stands."""
    return q_len - 1 - np.arange(q_len)[:, None] + np.arange(k_len)


def forms(primitive, here, elsewhere, k_len):
    """The function on a CPU, and what other devices run."""
    settings = {"k_len": k_len}
    return primitive, *(functools.partial(f, **settings) for f in (here, elsewhere))


@SHAPES
@DTYPES
def test_rows_of_a_band_are_read_from_the_place_of_their_query_on(q_len, k_len, dtype):
    band = drawn(0, 2, 3, q_len, q_len + k_len - 1, dtype=dtype)
    at = np.broadcast_to(places(q_len, k_len), (2, 3, q_len, k_len))
    wanted = np.take_along_axis(band, at, -1)
    public = lambda x: diagonals.matrix_of_band(x, k_len)
    for form in forms(public, diagonals._matrix_by_slices, diagonals._matrix, k_len):
        assert_same_bits(jax.jit(form)(band), wanted)


@SHAPES
@DTYPES
def test_rows_of_a_matrix_stand_in_the_band_at_their_place(q_len, k_len, dtype):
    matrix = drawn(1, 2, 3, q_len, k_len, dtype=dtype)
    wanted = np.zeros((2, 3, q_len, q_len + k_len - 1), dtype)
    at = np.broadcast_to(places(q_len, k_len), matrix.shape)
    np.put_along_axis(wanted, at, matrix, -1)
    public = diagonals.band_of_matrix
    for form in forms(public, diagonals._band_by_slices, diagonals._band, k_len):
        assert_same_bits(jax.jit(form)(matrix), wanted)


def test_each_is_the_transpose_of_the_other():
    band, matrix = drawn(2, 2, 3, 8), drawn(3, 2, 3, 6)
    to_matrix = lambda x: diagonals.matrix_of_band(x, 6)
    _, back = jax.vjp(to_matrix, band)
    assert_same_bits(jax.jit(back)(matrix)[0], diagonals.band_of_matrix(matrix))
    _, back = jax.vjp(diagonals.band_of_matrix, matrix)
    assert_same_bits(back(band)[0], to_matrix(band))


def test_a_mapped_axis_may_stand_anywhere():
    band = drawn(4, 3, 2, 5)
    mapped = jax.vmap(lambda x: diagonals.matrix_of_band(x, 4), in_axes=2, out_axes=1)
    wanted = np.moveaxis(np.asarray(diagonals.matrix_of_band(band, 4)), 0, 1)
    assert_same_bits(mapped(np.moveaxis(band, 0, 2)), wanted)
