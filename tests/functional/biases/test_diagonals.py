"""Bands of rows to matrices, and back."""

import jax
import numpy as np
import pytest
from helpers import assert_same_bits

from attnax.functional._biases.core.diagonals import diagonals

SHAPES = pytest.mark.parametrize("q_len, k_len", ((1, 4), (3, 1), (4, 6)))


def drawn(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def places(q_len, k_len):
    """Where in its row of the band each number of the matrix stands."""
    return q_len - 1 - np.arange(q_len)[:, None] + np.arange(k_len)


@SHAPES
def test_rows_are_read_from_the_place_of_their_query_on(q_len, k_len):
    band = drawn(0, 2, q_len, q_len + k_len - 1)
    wanted = np.take_along_axis(band, places(q_len, k_len)[None], -1)
    assert_same_bits(jax.jit(lambda x: diagonals(x, k_len))(band), wanted)


@SHAPES
def test_the_transpose_puts_each_row_at_its_place(q_len, k_len):
    matrix = drawn(1, 2, q_len, k_len)
    band = jax.ShapeDtypeStruct((2, q_len, q_len + k_len - 1), np.float32)
    transpose = jax.linear_transpose(lambda x: diagonals(x, k_len), band)
    wanted = np.zeros(band.shape, np.float32)
    at = np.broadcast_to(places(q_len, k_len), matrix.shape)
    np.put_along_axis(wanted, at, matrix, -1)
    assert_same_bits(transpose(matrix)[0], wanted)
    again = jax.linear_transpose(lambda x: transpose(x)[0], matrix)
    assert_same_bits(again(wanted)[0], matrix)


def test_a_mapped_axis_may_stand_anywhere():
    band = drawn(2, 3, 2, 5)
    mapped = jax.vmap(lambda x: diagonals(x, 3), in_axes=2, out_axes=1)
    moved = np.moveaxis(band, 0, 2)
    wanted = np.moveaxis(np.asarray(diagonals(band, 3)), 0, 1)
    assert_same_bits(mapped(moved), wanted)
