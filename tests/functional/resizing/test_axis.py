import jax.numpy as jnp
import numpy as np
import pytest
import resize_oracles
from helpers import assert_close, assert_same_bits, jitted
from hypothesis import given
from hypothesis import strategies as st
from resize_oracles import CONVENTIONS

from attnax.functional._resizing import axis

conventions = st.sampled_from(CONVENTIONS)
WITHOUT = [c for c in CONVENTIONS if not c.antialias]
sizes = st.tuples(st.sampled_from((1, 2, 5, 16)), st.sampled_from((1, 3, 7, 24)))
LENGTH = 24


@jitted
def dense_weights(index, new_size, old_size, resampling):
    return axis.dense_weights(jnp, jnp.float32, index, new_size, old_size, resampling)


@jitted
def tap_weights(index, new_size, old_size, resampling):
    return axis.tap_weights(jnp, jnp.float32, index, new_size, old_size, resampling)


def rows(*new_sizes):
    """Indices `(*sizes, LENGTH)`, the last row again past a size, and the sizes."""
    new_size = np.array(new_sizes, np.int32)[:, None]
    return np.minimum(np.arange(LENGTH, dtype=np.int32), new_size - 1), new_size


def expected_matrix(old, new, resampling):
    weights = resize_oracles.weights_of_row
    return np.array([weights(i, old, new, resampling) for i in range(new)])


@given(pair=sizes, resampling=conventions)
def test_matrix_is_that_of_the_definition(pair, resampling):
    old, new = pair
    actual = axis.axis_matrix(old, new, resampling)
    assert actual.dtype == np.float64
    expected = expected_matrix(old, new, resampling)
    # The oracle's sample points, below 16, are rounded: 2**-50, times a slope below 8.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2.0**-46)


@pytest.mark.parametrize("resampling", CONVENTIONS)
def test_traced_sizes_give_the_same_matrix(resampling):
    for old in (1, 2, 5, 16):
        new_sizes = (1, 3, 7, 24)
        matrices = np.asarray(dense_weights(*rows(*new_sizes), old, resampling))
        for new, matrix in zip(new_sizes, matrices, strict=True):
            expected = expected_matrix(old, new, resampling)
            assert_close(matrix[:new], expected, magnitude=1, roundings=8)


@pytest.mark.parametrize("resampling", WITHOUT)
def test_taps_are_the_matrix(resampling):
    new_sizes = (1, 3, 7, 24)
    for old in (1, 2, 5, 16):
        taps, weights = map(np.asarray, tap_weights(*rows(*new_sizes), old, resampling))
        assert taps.dtype == np.int32
        assert ((taps >= 0) & (taps < old)).all()
        for i, new in enumerate(new_sizes):
            matrix = np.zeros((new, old))
            for row in range(new):
                np.add.at(matrix[row], taps[i, row], weights[i, row])
            expected = expected_matrix(old, new, resampling)
            assert_close(matrix.astype(np.float32), expected, magnitude=1, roundings=8)


def test_a_batch_of_taps_is_each_size_alone():
    for resampling in WITHOUT:
        together = tap_weights(*rows(3, 9), 5, resampling)
        for i, new in enumerate((3, 9)):
            alone = tap_weights(*rows(new), 5, resampling)
            for batch, one in zip(together, alone, strict=True):
                assert_same_bits(np.asarray(batch)[i], np.asarray(one)[0])


@pytest.mark.parametrize("resampling", CONVENTIONS[:6])
def test_the_largest_sizes_sample_where_they_should(resampling):
    # A ratio of float32 numbers would be off by whole rows here.
    old, new, row = 3, 40_000_001, 39_999_999
    assert new <= axis.largest_size(old, resampling)
    # Row by row, for the whole matrix would not fit.
    index = np.array([0, new // 2, row], np.int32)
    actual = dense_weights(index, np.full(3, new, np.int32), old, resampling)
    weights = resize_oracles.weights_of_row
    expected = [weights(int(i), old, new, resampling) for i in index]
    assert_close(actual, np.array(expected), magnitude=1, roundings=8)
