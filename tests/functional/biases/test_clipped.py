"""Tables of biases by clipped distances."""

import bucket_bias_oracles as oracles
import jax
import numpy as np
import pytest
from bias_laws import (
    LENGTH,
    check_low_precision,
    check_parts,
    check_score_mod,
    drawn,
    gradient,
    matrix,
    sums_by_row,
)

import attnax.functional as F

FORMS = pytest.mark.parametrize("symmetric", (False, True))


def bias_of(symmetric):
    return F.ClippedDistanceBias(3, 5, symmetric=symmetric)


@FORMS
def test_each_distance_has_a_row_up_to_the_largest(symmetric):
    bias = bias_of(symmetric)
    params, q, k = drawn(bias), range(4, LENGTH), range(-2, LENGTH)
    far = np.array([0, 300, -70_001, 2**31 - 1, -(2**31)], np.int32)
    for queries, keys in ((q, k), (np.array(q), np.array(k)), (far, far[:4])):
        actual = matrix(bias, params, queries, keys)
        expected = oracles.clipped_bias(params.table, queries, keys, 5, symmetric)
        np.testing.assert_array_equal(actual, expected)
    assert params.table.shape == (5 if symmetric else 10, 3)


@FORMS
def test_a_step_padding_and_packing_leave_the_bias_as_it_is(symmetric):
    check_parts(bias_of(symmetric), drawn(bias_of(symmetric)))


def test_keys_of_a_memory_stand_before_the_sequence():  # x-transformers#103
    bias = bias_of(symmetric=False)
    params, memory = drawn(bias), 3
    whole = matrix(bias, params, range(LENGTH), range(LENGTH))
    keys = range(-memory, LENGTH - memory)
    actual = matrix(bias, params, range(LENGTH - memory), keys)
    np.testing.assert_array_equal(actual, whole[:, memory:])


def test_the_absolute_form_is_symmetric():
    bias = bias_of(symmetric=True)
    actual = matrix(bias, drawn(bias), range(LENGTH), range(LENGTH))
    np.testing.assert_array_equal(actual, np.swapaxes(actual, -1, -2))


@FORMS
def test_the_function_of_scores_has_the_bits_of_the_matrix(symmetric):
    check_score_mod(bias_of(symmetric), drawn(bias_of(symmetric)), {})


def test_bfloat16_is_float32_rounded_once():
    check_low_precision(bias_of(False), drawn(bias_of(False)))


@FORMS
def test_the_gradient_adds_up_the_pairs_of_each_row(symmetric):
    bias = bias_of(symmetric)
    weights = np.random.default_rng(1).normal(size=(3, LENGTH, LENGTH)).astype("f")
    at = np.arange(LENGTH)
    found = gradient(bias, drawn(bias), at, at, weights).table
    rows = np.clip(at - at[:, None], -5, 4) + 5
    if symmetric:
        rows = np.minimum(abs(at - at[:, None]), 4)
    expected, sizes = sums_by_row(rows, weights, len(found))
    # Sums of at most 45 numbers, of which each is rounded at most 45 times.
    assert (np.abs(np.asarray(found) - expected) <= 45 * 2.0**-24 * sizes).all()


DISTANCES = [0, 1, 2, 3, -1, -2, -4, -5, 99, -99, 2**31 - 1, -(2**31)]
ROWS = [4, 5, 6, 6, 3, 2, 0, 0, 6, 0, 6, 0]


@pytest.mark.parametrize("dtype", ("int32", "int64", "float64"))
def test_rows_of_every_distance(dtype):
    known = F.clipped_distances(np.array(DISTANCES, dtype), left=4, right=2)
    assert isinstance(known, np.ndarray) and known.dtype == np.int32
    np.testing.assert_array_equal(known, ROWS)


def test_rows_of_traced_and_of_narrow_distances():
    of = jax.jit(lambda d: F.clipped_distances(d, left=4, right=2))
    np.testing.assert_array_equal(of(np.array(DISTANCES, np.int32)), ROWS)
    np.testing.assert_array_equal(of(np.array([-128, 127], np.int8)), [0, 6])
    np.testing.assert_array_equal(of(np.array([0, 255], np.uint8)), [4, 6])
    whole = F.clipped_distances(DISTANCES, left=2**31 - 1, right=0)
    assert whole.min() == 0 and whole.max() == 2**31 - 1


@pytest.mark.errors
def test_settings_out_of_range():
    with pytest.raises(ValueError, match="max_distance=0 must be"):
        F.ClippedDistanceBias(2, 0)
    with pytest.raises(ValueError, match="num_heads=0 must be a positive integer"):
        F.ClippedDistanceBias(0, 2)
    with pytest.raises(ValueError, match="left=-1 must be"):
        F.clipped_distances([0], left=-1, right=1)
    with pytest.raises(ValueError, match="right=2147483647 must be"):
        F.clipped_distances([0], left=1, right=2**31 - 1)
    with pytest.raises(ValueError, match=r"distance\.dtype=bfloat16 must be"):
        F.clipped_distances(jax.numpy.bfloat16([1]), left=1, right=1)


@pytest.mark.errors
def test_a_table_of_another_size():
    params = F.TableBiasParams(np.ones((5, 3), np.float32))
    with pytest.raises(ValueError, match=r"params.table.shape=\(5, 3\) must be \(10"):
        F.apply_position_bias(bias_of(False), params, range(3), range(3))
