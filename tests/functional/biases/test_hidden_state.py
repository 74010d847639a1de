"""Biases of buckets that a linear map makes of hidden states."""

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
)
from helpers import assert_close

import attnax.functional as F

HEADS, WIDTH = 3, 5
BIAS = F.HiddenStateBias(HEADS, WIDTH, 8, 6)
HIDDEN = np.random.default_rng(0).normal(size=(2, LENGTH, WIDTH)).astype("f")
TOKENS = {"q": HIDDEN[0]}
# Parts of a batch are multiplied in another order: 5 products below 9 and an offset.
CLOSE = {"rtol": 0, "atol": 6 * 45 * 2.0**-24}


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, **CLOSE)


def params_of():
    bias = np.random.default_rng(1).normal(size=(8, HEADS)).astype("f")
    return drawn(BIAS)._replace(bias=bias)


def expected_of(params, hidden, distances):
    """The oracle, whose linear map has the layout of the checkpoint."""
    weight = np.asarray(params.weight).reshape(WIDTH, -1).T
    offset = np.asarray(params.bias).reshape(-1)
    return oracles.hidden_bias(weight, offset, hidden, distances, HEADS, 6)


def test_each_query_makes_its_buckets():
    params, q, k = params_of(), np.arange(4, LENGTH), np.arange(LENGTH)
    actual = matrix(BIAS, params, q, k, q=HIDDEN[:, 4:])
    expected = expected_of(params, HIDDEN[:, 4:], k - q[:, None])
    assert_close(actual, expected, magnitude=45)


def test_an_encoder_has_buckets_of_both_directions():
    """At far distances too; the rows of the table are the outputs of a map of ones."""
    bias, width = F.HiddenStateBias(HEADS, 1, 8, 6, bidirectional=True), 8
    weight = np.random.default_rng(3).normal(size=(1, width, HEADS)).astype("f")
    params = F.HiddenStateBiasParams(weight, np.zeros((width, HEADS), "f"))
    queries, keys = np.array([5, 300, 70_001]), np.array([0, 3, 6, 301, 70_000])
    actual = matrix(bias, params, queries, keys, q=np.ones((3, 1), "f"))
    expected = oracles.t5_bias(weight[0], queries, keys, 6, True)
    np.testing.assert_array_equal(actual, expected)


def test_a_stream_that_predicts_sees_main_keys_one_step_further_away():
    # The scheme of ProphetNet: main keys, then the stream's own ones.
    params, at = params_of(), np.arange(LENGTH)
    keys = np.r_[at - 1, at]
    actual = matrix(BIAS, params, at, keys, q=HIDDEN)
    expected = expected_of(params, HIDDEN, keys - at[:, None])
    assert_close(actual, expected, magnitude=45)
    own = np.diagonal(actual[..., LENGTH:], axis1=-2, axis2=-1)
    rows = np.einsum("bqd,dh->bhq", HIDDEN, params.weight[:, 0])
    close(own, rows + params.bias[0][:, None])


def test_a_step_padding_and_packing_leave_the_bias_as_it_is():
    check_parts(BIAS, params_of(), TOKENS, same=close)


def test_the_function_of_scores_is_the_matrix():
    check_score_mod(BIAS, params_of(), TOKENS, same=close)


def test_bfloat16_is_float32_rounded_once():
    check_low_precision(BIAS, params_of(), TOKENS)


def test_gradients_of_the_map_and_of_hidden_states():
    weights = np.random.default_rng(2).normal(size=(HEADS, LENGTH, LENGTH)).astype("f")
    params, at = params_of(), np.arange(LENGTH)
    found = gradient(BIAS, params, at, at, weights, TOKENS)
    rows = F.relative_position_bucket(
        at - at[:, None], num_buckets=8, max_distance=6, bidirectional=False
    )
    one_hot = (rows[..., None] == np.arange(8)).astype(np.float64)
    of_rows = np.einsum("hqk,qkn->qnh", weights.astype(np.float64), one_hot)
    # Sums of at most 169 numbers below 4, and products of them with numbers below 4.
    assert_close(found.bias, of_rows.sum(0), magnitude=100, roundings=8)
    expected = np.einsum("qd,qnh->dnh", HIDDEN[0].astype(np.float64), of_rows)
    assert_close(found.weight, expected, magnitude=400, roundings=8)

    def of_hidden(x):
        return (weights * F.apply_position_bias(BIAS, params, at, at, q=x)).sum()

    expected = np.einsum("dnh,qnh->qd", np.asarray(params.weight, np.float64), of_rows)
    found = jax.jit(jax.grad(of_hidden))(HIDDEN[0])
    assert_close(found, expected, magnitude=400, roundings=8)


def test_the_gradient_of_a_bucket_of_many_keys_is_added_up_in_short_chains():
    bias, weights = F.HiddenStateBias(1, 1, 4, 8), np.float32(0.01)
    params = F.HiddenStateBiasParams(np.ones((1, 4, 1), "f"), np.ones((4, 1), "f"))
    queries, keys = np.array([0, 5000]), np.arange(5000)

    def of_sum(params):
        x = np.ones((2, 1), np.float32)
        return (weights * F.apply_position_bias(bias, params, queries, keys, q=x)).sum()

    found = jax.jit(jax.grad(of_sum))(params).bias[:, 0]
    rows = F.relative_position_bucket(
        keys - 5000, num_buckets=4, max_distance=8, bidirectional=False
    )
    counts = np.array([5000, 0, 0, 0]) + np.bincount(rows, minlength=4)
    expected = counts * np.float64(weights)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_traced_position_out_of_range_gives_nan_at_its_pairs():
    with jax.enable_x64(True):
        at = np.array([0, 2**40, 1])
        actual = matrix(BIAS, params_of(), at, at, q=HIDDEN[0, :3])
    wrong = (at > 2) | (at > 2)[:, None]
    np.testing.assert_array_equal(np.isnan(actual[0]), wrong)


@pytest.mark.errors
def test_settings_out_of_range():
    with pytest.raises(ValueError, match="d_model=0 must be a positive integer"):
        F.HiddenStateBias(2, 0)
    with pytest.raises(ValueError, match="num_buckets=7 must be even"):
        F.HiddenStateBias(2, 4, 7, bidirectional=True)
    with pytest.raises(ValueError, match="max_distance=16 must be"):
        F.HiddenStateBias(2, 4, 32, 16)


@pytest.mark.errors
def test_arrays_that_do_not_fit():
    params, at = params_of(), range(3)
    with pytest.raises(ValueError, match=r"q.shape=\(3, 4\) must end in \(3, 5\)"):
        F.apply_position_bias(BIAS, params, at, at, q=HIDDEN[0, :3, :4])
    wrong = params._replace(bias=np.ones(8, np.float32))
    with pytest.raises(ValueError, match=r"params.bias.shape=\(8,\) must be \(8, 3\)"):
        F.apply_position_bias(BIAS, wrong, at, at, q=HIDDEN[0, :3])
