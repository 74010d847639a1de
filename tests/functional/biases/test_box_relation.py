"""A linear map of sinusoids of the relations of two boxes."""

import box_bias_oracles as oracles
import jax
import numpy as np
import pytest
from bias_laws import (
    LENGTH,
    check_low_precision,
    check_parts,
    check_score_mod,
    drawn,
    matrix,
)

import attnax.functional as F

HEADS, WIDTH = 3, 8
BIAS = F.BoxRelationBias(HEADS, WIDTH)


def boxes(batch=()):
    corners = np.random.default_rng(0).integers(0, 1000, (2, *batch, LENGTH, 2))
    page = np.concatenate(list(np.sort(corners, axis=0)), -1)
    page[..., 0, :] = 0  # the start of the text, and padding
    return page


PAGE = boxes()
TOKENS = {"q": PAGE, "k": PAGE}


def params_of(bias=BIAS):
    params = drawn(bias)
    return params._replace(bias=np.arange(HEADS, dtype=np.float32))


def tolerance(params, scale):
    """An angle is the scale times a logarithm below 14, which float32 rounds twice.

    Logarithms are off by 2**-22, and so are quotients of sizes. A sinusoid is off by as
    much as its angle, and has a coefficient.
    """
    angle = scale * 4 * 14 * 2.0**-23
    return np.abs(params.weight).sum(0).max() * (angle + 8 * 2.0**-24)


def close(actual, expected):
    atol = tolerance(params_of(), BIAS.scale)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.parametrize("scale", (100.0, 3.0))
def test_sinusoids_of_four_relations(scale):
    bias = F.BoxRelationBias(HEADS, WIDTH, base=500.0, scale=scale)
    params, page = params_of(), boxes((2,))
    at = range(LENGTH)
    actual = matrix(bias, params, at[4:], at, q=page[:, 4:], k=page)
    expected = oracles.box_relations(page, params.weight.T, params.bias, 500.0, scale)
    atol = tolerance(params, scale)
    np.testing.assert_allclose(actual, expected[:, :, 4:], rtol=0, atol=atol)


def test_arithmetic_in_float64_has_exact_angles():
    params, page, at = params_of(), boxes((2,)).astype(np.float64), range(LENGTH)
    with jax.enable_x64(True):
        actual = matrix(BIAS, params, at, at, q=page, k=page)
        assert actual.dtype == np.float64
    expected = oracles.box_relations(page, params.weight.T, params.bias, 1e4, 100.0)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-10)


def test_positions_do_not_matter_and_their_batch_does():
    at = np.arange(LENGTH)
    one = matrix(BIAS, params_of(), at, at, **TOKENS)
    actual = matrix(BIAS, params_of(), np.stack([at, at[::-1]]), at, **TOKENS)
    close(actual, np.stack([one, one]))


def test_a_step_padding_and_packing_leave_the_bias_as_it_is():
    check_parts(BIAS, params_of(), TOKENS, same=close)


def test_the_function_of_scores_is_the_matrix():
    check_score_mod(BIAS, params_of(), TOKENS, same=close)


def test_bfloat16_is_float32_rounded_once():
    check_low_precision(BIAS, params_of(), TOKENS)


def test_gradients_are_those_of_a_linear_map():
    params, at = params_of(), np.arange(LENGTH)
    weights = np.random.default_rng(1).normal(size=(HEADS, LENGTH, LENGTH)).astype("f")

    def of_sum(params):
        biases = F.apply_position_bias(BIAS, params, at, at, **TOKENS)
        return (weights.astype(biases.dtype) * biases).sum()

    found = jax.jit(jax.grad(of_sum))(params)
    found = jax.tree.map(np.asarray, found)

    def slope(weight, offset):
        made = oracles.box_relations(PAGE[None], weight, offset, 1e4, 100.0)[0]
        return (weights * made).sum()

    zero, nothing = np.zeros((HEADS, 4 * WIDTH)), np.zeros(HEADS)
    # Sums of 169 numbers below 4 times sinusoids, whose angles are off as above.
    atol = 400 * (100 * 4 * 14 * 2.0**-23 + 8 * 2.0**-24)
    for row in (0, 9, 4 * WIDTH - 1):
        one = zero.copy()
        one[1, row] = 1
        assert abs(found.weight[row, 1] - slope(one, nothing)) < atol
    assert abs(found.bias[2] - slope(zero, np.eye(HEADS)[2])) < 1e-3


@pytest.mark.errors
def test_settings_out_of_range():
    with pytest.raises(ValueError, match="width=7 must be"):
        F.BoxRelationBias(2, 7)
    with pytest.raises(ValueError, match=r"base=0.0 must be finite and positive"):
        F.BoxRelationBias(2, base=0.0)
    with pytest.raises(ValueError, match=r"scale=-1.0 must be finite and positive"):
        F.BoxRelationBias(2, scale=-1.0)


@pytest.mark.errors
def test_arrays_that_do_not_fit():
    at = range(LENGTH)
    wrong = params_of()._replace(weight=np.ones((HEADS, 32), np.float32))
    with pytest.raises(ValueError, match=r"params.weight.shape=\(3, 32\) must be \(32"):
        F.apply_position_bias(BIAS, wrong, at, at, **TOKENS)
    with pytest.raises(ValueError, match=r"k.shape=\(13, 3\) must end in \(13, 4\)"):
        F.apply_position_bias(BIAS, params_of(), at, at, q=PAGE, k=PAGE[:, :3])
