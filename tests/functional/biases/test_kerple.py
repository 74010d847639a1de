"""KERPLE against its formulas, and the bounds of its parameters."""

import bias_laws
import jax
import numpy as np
import paper_bias_oracles as oracles
import pytest
from helpers import assert_close

import attnax.functional as F

FORMS = ("log", "power")
Q, K = range(90, 150), range(150)


def params_of(form):
    """Five heads, the last ones near the bounds of the exponent."""
    r1 = np.array([0.4, 1.7, 0.02, 1.0, 0.5], np.float32)
    return F.KerpleBiasParams(r1, np.array([0.9, 0.3, 0.01, 1.99, 2.0], np.float32))


@pytest.mark.parametrize("form", FORMS)
def test_it_is_the_formula(form):
    bias, params = F.KerpleBias(5, form=form), params_of(form)
    actual = bias_laws.matrix(bias, params, Q, K)
    expected = getattr(oracles, f"kerple_{form}")(Q, K, *params)
    for head in range(5):
        # A product, a logarithm or a power, and a product: a few roundings of the bias.
        most = np.abs(expected[head]).max()
        assert_close(actual[head], expected[head], magnitude=most)


@pytest.mark.parametrize("form", FORMS)
def test_far_distances_keep_their_accuracy(form):
    bias, params = F.KerpleBias(5, form=form, factor=0.5), params_of(form)
    at = np.array([-(2**31), 0, 257, 4095, 2**24 + 1, 2**31 - 1])
    actual = bias_laws.matrix(bias, params, at, np.zeros(1, int))
    distances = np.minimum(np.abs(at), 2**31 - 1)
    expected = 0.5 * getattr(oracles, f"kerple_{form}")(distances, [0], *params)
    # The distance is rounded once, and a power makes up to two roundings of it.
    np.testing.assert_allclose(actual, expected, rtol=6 * 2.0**-23)


@pytest.mark.parametrize("form", FORMS)
def test_a_cache_padding_and_packing_change_nothing(form):
    bias_laws.check_parts(F.KerpleBias(5, form=form), params_of(form))


@pytest.mark.parametrize("form", FORMS)
def test_it_is_symmetric_zero_in_place_and_the_same_outside_jit(form):
    bias, params = F.KerpleBias(5, form=form), params_of(form)
    at = np.arange(30)
    biases = np.asarray(bias_laws.matrix(bias, params, at, at))
    np.testing.assert_array_equal(biases, biases.swapaxes(1, 2))
    assert (np.diagonal(biases, axis1=1, axis2=2) == 0).all()
    bias_laws.check_outside_jit(bias, params)
    bias_laws.check_low_precision(bias, params)


@pytest.mark.parametrize("form", FORMS)
def test_gradients_are_those_of_the_formula(form):
    bias, params = F.KerpleBias(5, form=form), params_of(form)
    weights = np.random.default_rng(0).normal(size=(5, len(Q), len(K)))
    weights = weights.astype(np.float32)
    actual = bias_laws.gradient(bias, params, Q, K, weights)
    size = np.abs(np.array(Q)[:, None] - np.array(K)).astype(np.float64)
    r1, r2 = (t.astype(np.float64)[:, None, None] for t in params)
    if form == "log":
        of_r1, of_r2 = -np.log1p(r2 * size), -r1 * size / (1 + r2 * size)
    else:
        logs = np.log(np.maximum(size, 1))  # a power of 0 does not move
        of_r1, of_r2 = -(size**r2), -r1 * size**r2 * logs
    for gradient, slope in zip(actual, (of_r1, of_r2), strict=True):
        expected = (weights * slope).sum((1, 2))
        # Sums along diagonals in short blocks, and then over the diagonals.
        bound = 8 * 2.0**-24 * np.abs(weights * slope).sum((1, 2))
        assert (np.abs(np.asarray(gradient) - expected) <= bound).all()


@pytest.mark.parametrize("form", FORMS)
def test_numbers_outside_the_bounds_count_as_the_bounds(form):
    """The released code clamps before every use, and a checkpoint comes before one."""
    bias, most = F.KerpleBias(3, form=form), 2.0 if form == "power" else np.inf
    outside = np.array([-3.0, 0.005, 5.0], np.float32)
    inside = np.clip(outside, np.float32(0.01), np.float32(most))
    weights = np.ones((3, len(Q), len(K)), np.float32)
    both = [
        F.KerpleBiasParams(outside, outside),
        F.KerpleBiasParams(np.maximum(outside, np.float32(0.01)), inside),
    ]
    np.testing.assert_array_equal(*(bias_laws.matrix(bias, p, Q, K) for p in both))
    # The gradient passes through, so that an optimizer comes back.
    gradients = [bias_laws.gradient(bias, p, Q, K, weights) for p in both]
    for one, other in zip(*gradients, strict=True):
        np.testing.assert_array_equal(one, other)
        assert (np.asarray(one) != 0).all()


def test_distances_above_256_are_told_apart_for_bfloat16_parameters():
    bias = F.KerpleBias(5)
    params = jax.tree.map(lambda t: t.astype("bfloat16"), params_of("log"))
    wide = jax.tree.map(lambda t: t.astype(np.float32), params)
    actual = bias_laws.matrix(bias, params, [0], range(257, 290))
    np.testing.assert_array_equal(
        actual, bias_laws.matrix(bias, wide, [0], range(257, 290))
    )
    assert (np.diff(np.asarray(actual)[:2, 0]) < 0).all()


@pytest.mark.parametrize("form, most", [("log", (2, 1)), ("power", (1, 2))])
def test_parameters_are_drawn_as_the_code_draws_them(form, most):
    bias = F.KerpleBias(400, form=form)
    params = F.init_position_bias(jax.random.key(0), bias, dtype="float32")
    for values, limit in zip(params, most, strict=True):
        values = np.asarray(values)
        assert values.shape == (400,) and values.dtype == np.float32
        assert 0 <= values.min() < 0.1 * limit and 0.9 * limit < values.max() < limit


@pytest.mark.errors
def test_bad_settings_and_parameters_are_refused():
    with pytest.raises(ValueError, match="KerpleBias: num_heads=0 must be a positive"):
        F.KerpleBias(0)
    with pytest.raises(ValueError, match="form='cubic' must be 'log' or 'power'"):
        F.KerpleBias(2, form="cubic")
    params = F.KerpleBiasParams(np.ones(5, np.float32), np.ones((5, 1, 1), np.float32))
    with pytest.raises(ValueError, match=r"params.r2.shape=\(5, 1, 1\) must be \(5,\)"):
        F.apply_position_bias(F.KerpleBias(5), params, [0], [0])
    with pytest.raises(ValueError, match="params is a NoneType, but must be"):
        F.apply_position_bias(F.KerpleBias(5), None, [0], [0])
