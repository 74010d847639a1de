import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resize_oracles
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from hypothesis import given
from hypothesis import strategies as st
from resize_oracles import CONVENTIONS

import attnax.functional as F

conventions = st.sampled_from(CONVENTIONS)
REST = [options for i, options in enumerate(CONVENTIONS) if i % 3]
WITHOUT = [c for c in CONVENTIONS if not c["antialias"]]
resize_matrix, resize_taps = jitted(F.resize_matrix), jitted(F.resize_taps)
sizes = st.tuples(st.sampled_from((1, 2, 5, 16)), st.sampled_from((1, 3, 7, 24)))


def expected_matrix(old, new, options):
    rows = [resize_oracles.weights_of_row(i, old, new, **options) for i in range(new)]
    return np.array(rows)


def without_antialias(options):
    return {name: value for name, value in options.items() if name != "antialias"}


@given(pair=sizes, options=conventions)
def test_matrix_is_that_of_the_definition(pair, options):
    old, new = pair
    actual = resize_matrix(old, new, **options)
    assert_close(actual, expected_matrix(old, new, options), magnitude=1, roundings=8)


@given(pair=sizes, options=conventions)
def test_traced_size_gives_the_same_matrix_and_zeros(pair, options):
    old, new = pair
    actual = resize_matrix(old, np.array(new, np.int32), max_size=30, **options)
    actual = np.asarray(actual)
    assert actual.shape == (30, old)
    assert_same_bits(actual[new:], np.zeros((30 - new, old), np.float32))
    expected = expected_matrix(old, new, options)
    assert_close(actual[:new], expected, magnitude=1, roundings=8)


@given(pair=sizes, options=st.sampled_from(WITHOUT))
def test_taps_are_the_matrix(pair, options):
    old, new = pair
    taps, weights = resize_taps(old, new, **without_antialias(options))
    assert taps.dtype == jnp.int32
    taps, weights = np.asarray(taps), np.asarray(weights)
    matrix = np.zeros((new, old))
    for row in range(new):
        np.add.at(matrix[row], taps[row], weights[row])
    expected = expected_matrix(old, new, options)
    assert_close(matrix.astype(np.float32), expected, magnitude=1, roundings=8)


@pytest.mark.parametrize("options", (*CONVENTIONS[::3], *slow(*REST)))
def test_a_batch_of_sizes_is_each_alone(options):
    sizes = np.array([[3, 9], [1, 4]], np.int32)
    actual = np.asarray(resize_matrix(5, sizes, max_size=9, **options))
    assert actual.shape == (2, 2, 9, 5)
    make = lambda n: F.resize_matrix(5, n, max_size=9, **options)
    assert_close(jax.jit(jax.vmap(jax.vmap(make)))(sizes), actual, magnitude=1)
    for index, size in np.ndenumerate(sizes):
        expected = expected_matrix(5, size.item(), options)
        assert_close(actual[index][:size], expected, magnitude=1, roundings=8)


@pytest.mark.parametrize("options", WITHOUT)
def test_a_batch_of_taps(options):
    options = without_antialias(options)
    sizes = np.array([3, 9], np.int32)
    taps, weights = map(np.asarray, resize_taps(5, sizes, max_size=9, **options))
    for index, size in enumerate((3, 9)):
        one, of_one = resize_taps(5, size, max_size=9, **options)
        assert_same_bits(taps[index], one)
        assert_close(weights[index], np.asarray(of_one), magnitude=1)
    assert not taps[0, 3:].any()
    assert not weights[0, 3:].any()


@pytest.mark.parametrize("options", CONVENTIONS[:6])
def test_the_largest_sizes_sample_where_they_should(options):
    # A ratio of float32 numbers would be off by whole rows here.
    old, new, row = 3, 40_000_001, 39_999_999
    assert new < (2**31 - 1) // (4 * old)
    # Row by row, for the whole matrix would not fit.
    from attnax.functional._resizing.axis import dense_weights, resizing

    how = resizing(**{"align_corners": False, "offset": 0.0, **options})
    index = np.array([0, new // 2, row], np.int32)
    size = np.full(3, new, np.int32)
    weights = lambda index, size: dense_weights(jnp, jnp.float32, index, size, old, how)
    actual = jax.jit(weights)(index, size)
    expected = [
        resize_oracles.weights_of_row(int(i), old, new, **options) for i in index
    ]
    assert_close(actual, np.array(expected), magnitude=1, roundings=8)


@pytest.mark.parametrize("size", (0, -1, 10))
def test_a_traced_size_out_of_range_gives_nan(size):
    size = np.array(size, np.int32)
    assert np.isnan(resize_matrix(5, size, max_size=9, **CONVENTIONS[1])).all()
    taps, weights = resize_taps(5, size, max_size=9, method="bicubic")
    assert np.isnan(weights).all()
    taps = np.asarray(taps)
    assert ((taps >= 0) & (taps < 5)).all()


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    (
        ({"new_size": 0}, "new_size=0 must be a positive integer"),
        ({"old_size": 0}, "old_size=0 must be a positive integer"),
        ({"new_size": np.array(3)}, "max_size=None must be given where new_size"),
        ({"new_size": 10, "max_size": 9}, r"new_size=10 must lie in \[1, 10\)"),
        (
            {"new_size": np.array([3, 0]), "max_size": 9},
            r"new_size\[1\]=0 must lie in \[1, 10\)",
        ),
        ({"max_size": 2**29}, f"max_size={2**29} must be at most"),
        ({"new_size": np.array(2.0), "max_size": 9}, "new_size.dtype=float64 must be"),
        ({"method": "area"}, "method='area' must be"),
    ),
)
def test_sizes_out_of_range_are_refused(arguments, message):
    arguments = {"old_size": 5, "new_size": 3, "method": "bilinear", **arguments}
    with refused(f"resize_matrix: {message}"):
        F.resize_matrix(antialias=True, **arguments)
    with refused(f"resize_taps: {message}"):
        F.resize_taps(**arguments)
