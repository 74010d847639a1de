"""Biases of buckets inside segments and of pairs of segments."""

import bucket_bias_oracles as oracles
import jax
import jax.numpy as jnp
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

BIAS = F.SegmentBias(3, 4, num_buckets=8, max_distance=6)
SEGMENTS = np.random.default_rng(0).integers(0, 4, (2, LENGTH)).astype(np.int32)
TOKENS = {"q": SEGMENTS[0], "k": SEGMENTS[0]}


def test_pairs_of_one_segment_have_buckets_and_others_a_row_of_their_own():
    params, at = drawn(BIAS), range(4, LENGTH)
    assert params.table.shape == (8 + 16, 3)
    actual = matrix(BIAS, params, at, range(LENGTH), q=SEGMENTS[:, 4:], k=SEGMENTS)
    expected = oracles.segment_bias(params.table, SEGMENTS, at, 4, 8, 6)
    np.testing.assert_array_equal(actual, expected)


def test_a_step_padding_and_packing_leave_the_bias_as_it_is():
    check_parts(BIAS, drawn(BIAS), TOKENS)


def test_the_function_of_scores_has_the_bits_of_the_matrix():
    check_score_mod(BIAS, drawn(BIAS), TOKENS)


def test_bfloat16_is_float32_rounded_once():
    check_low_precision(BIAS, drawn(BIAS), TOKENS)


def test_the_gradient_adds_up_the_pairs_of_each_row():
    weights = np.random.default_rng(1).normal(size=(3, LENGTH, LENGTH)).astype("f")
    params, at = drawn(BIAS), np.arange(LENGTH)
    found = gradient(BIAS, params, at, at, weights, TOKENS).table
    # The bias of a table whose row r holds r is the row of each pair.
    numbers = np.tile(np.arange(24.0)[:, None], 3)
    rows = oracles.segment_bias(numbers, SEGMENTS[:1], at, 4, 8, 6)[0, 0].astype(int)
    expected, sizes = sums_by_row(rows, weights, len(found))
    # Sums of at most 40 numbers, of which each is rounded at most 40 times.
    assert (np.abs(np.asarray(found) - expected) <= 40 * 2.0**-24 * sizes).all()


def test_a_traced_segment_out_of_range_gives_nan_at_its_pairs():
    segments = np.array([0, 1, 4, -1])
    actual = matrix(BIAS, drawn(BIAS), range(4), range(4), q=segments, k=segments)
    wrong = (segments < 0) | (segments > 3)
    wrong = np.broadcast_to(wrong | wrong[:, None], actual.shape)
    np.testing.assert_array_equal(np.isnan(actual), wrong)


def test_a_score_has_nan_at_traced_segments_out_of_range():
    segments = np.array([[0, 1, 4, -1]])

    def both(segments):
        arguments = (BIAS, drawn(BIAS), range(4), range(4))
        score_mod = F.position_bias_score_mod(*arguments, q=segments, k=segments[0])
        scores = score_mod(
            jnp.zeros((1, 1, 1, 1)), *jnp.indices((1, 3, 4, 4), sparse=True)
        )
        matrix = F.apply_position_bias(*arguments, q=segments, k=segments[0])
        return scores, matrix

    scores, expected = jax.jit(both)(segments)
    assert np.isnan(expected).sum() == 3 * 12
    np.testing.assert_array_equal(scores, expected)


@pytest.mark.errors
def test_settings_out_of_range():
    with pytest.raises(ValueError, match="num_segments=0 must be"):
        F.SegmentBias(2, 0)
    with pytest.raises(ValueError, match="num_buckets=7 must be even"):
        F.SegmentBias(2, num_buckets=7)
    with pytest.raises(ValueError, match="max_distance=2 must be"):
        F.SegmentBias(2, num_buckets=8, max_distance=2)
    with pytest.raises(ValueError, match="num_heads=-1 must be a positive integer"):
        F.SegmentBias(-1)


@pytest.mark.errors
@pytest.mark.parametrize(
    "segments, message",
    (
        (np.array([0, 4, 0]), r"k\[1\]=4 must lie in \[0, 4\)"),
        (np.array([0, 2**32, 0]), r"k\[1\]=4294967296 must lie in \[0, 4\)"),
        (np.array([0.0, 1.0, 0.0]), "k.dtype=float64 must be"),
        (np.array([0, 1]), r"k.shape=\(2,\) must end in \(3,\)"),
        (None, "k must be given: SegmentBias reads it"),
    ),
)
def test_segments_that_do_not_fit(segments, message):
    with pytest.raises(ValueError, match=message):
        F.apply_position_bias(
            BIAS, drawn(BIAS), range(3), range(3), q=np.zeros(3, int), k=segments
        )
