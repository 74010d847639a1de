import jax
import jax.numpy as jnp
import numpy as np
import pytest
import resize_oracles
from helpers import assert_close, assert_same_bits, refused
from hypothesis import given
from hypothesis import strategies as st
from resize_oracles import CONVENTIONS

import attnax.functional as F

conventions = st.sampled_from(CONVENTIONS)
WITHOUT = [c for c in CONVENTIONS if not c["antialias"]]
sizes = st.tuples(st.sampled_from((1, 2, 5, 16)), st.sampled_from((1, 3, 7, 24)))


def expected_matrix(old, new, options):
    rows = [resize_oracles.weights_of_row(i, old, new, **options) for i in range(new)]
    return np.array(rows)


def without_antialias(options):
    return {name: value for name, value in options.items() if name != "antialias"}


@given(pair=sizes, options=conventions)
def test_matrix_is_that_of_the_definition(pair, options):
    old, new = pair
    actual = F.resize_matrix(old, new, **options)
    assert_close(actual, expected_matrix(old, new, options), magnitude=1, roundings=8)


@given(pair=sizes, options=conventions)
def test_traced_size_gives_the_same_matrix_and_zeros(pair, options):
    old, new = pair
    make = jax.jit(lambda n: F.resize_matrix(old, n, max_size=30, **options))
    actual = make(jnp.asarray(new))
    assert actual.shape == (30, old)
    assert_same_bits(actual[new:], np.zeros((30 - new, old), np.float32))
    expected = expected_matrix(old, new, options)
    assert_close(actual[:new], expected, magnitude=1, roundings=8)


@given(pair=sizes, options=st.sampled_from(WITHOUT))
def test_taps_are_the_matrix(pair, options):
    old, new = pair
    taps, weights = F.resize_taps(old, new, **without_antialias(options))
    assert taps.dtype == jnp.int32
    matrix = np.zeros((new, old))
    for row in range(new):
        np.add.at(matrix[row], np.asarray(taps[row]), np.asarray(weights[row]))
    expected = expected_matrix(old, new, options)
    assert_close(jnp.asarray(matrix, jnp.float32), expected, magnitude=1, roundings=8)


@pytest.mark.parametrize("options", CONVENTIONS)
def test_a_batch_of_sizes_is_each_alone(options):
    sizes = jnp.array([[3, 9], [1, 4]])
    actual = F.resize_matrix(5, sizes, max_size=9, **options)
    assert actual.shape == (2, 2, 9, 5)
    mapped = jax.vmap(jax.vmap(lambda n: F.resize_matrix(5, n, max_size=9, **options)))
    assert_close(mapped(sizes), np.asarray(actual), magnitude=1)
    assert_close(
        actual[0, 0, :3], expected_matrix(5, 3, options), magnitude=1, roundings=8
    )


@pytest.mark.parametrize("options", WITHOUT)
def test_a_batch_of_taps(options):
    options = without_antialias(options)
    sizes = jnp.array([3, 9])
    taps, weights = F.resize_taps(5, sizes, max_size=9, **options)
    for index, size in enumerate((3, 9)):
        one, of_one = F.resize_taps(5, size, max_size=9, **options)
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
    from attnax.functional._resize_axis import dense_weights, resizing

    how = resizing("test", **{"align_corners": False, "offset": 0.0, **options})
    index, size = jnp.array([0, new // 2, row]), jnp.full(3, new)
    actual = dense_weights(jnp, jnp.float32, index, size, old, how)
    expected = [
        resize_oracles.weights_of_row(int(i), old, new, **options) for i in index
    ]
    assert_close(actual, np.array(expected), magnitude=1, roundings=8)


@pytest.mark.parametrize("size", (0, -1, 10))
def test_a_traced_size_out_of_range_gives_nan(size):
    make = jax.jit(lambda n: F.resize_matrix(5, n, max_size=9, **CONVENTIONS[1]))
    assert bool(jnp.isnan(make(jnp.asarray(size))).all())
    taps = jax.jit(lambda n: F.resize_taps(5, n, max_size=9, method="bicubic"))
    indices, weights = taps(jnp.asarray(size))
    assert bool(jnp.isnan(weights).all())
    assert bool(((indices >= 0) & (indices < 5)).all())


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
