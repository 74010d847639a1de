"""FIRE against its listing: ratios of logarithms, and a network of them."""

import bias_laws
import jax
import numpy as np
import paper_bias_oracles as oracles
import pytest
from helpers import assert_close, slow

import attnax.functional as F

LENGTH = 100
BIAS = F.FireBias(5, length=LENGTH)
Q, K = range(70, 130), range(130)


def params_of(c=0.1, multiplier=1.0):
    params = F.init_position_bias(jax.random.key(0), BIAS, dtype="float32")
    params = jax.tree.map(np.asarray, params)
    numbers = {"c": np.float32(c), "multiplier": np.float32(multiplier)}
    return params._replace(**{n: np.asarray(t) for n, t in numbers.items()})


def expected(params, q, k):
    return oracles.fire(
        q,
        k,
        params.c,
        params.multiplier * np.float32(LENGTH),
        params.hidden_weight,
        params.hidden_bias,
        params.weight.T,
        params.bias,
        eps=1e-6,
    )


def magnitude(params):
    """A bound of the magnitudes that the network adds up for ratios below 1.5."""
    hidden = 1.5 * np.abs(params.hidden_weight) + np.abs(params.hidden_bias)
    return float((hidden @ np.abs(params.weight) + np.abs(params.bias)).max())


# The threshold lies above all queries, among them and below all of them; `c` may be
# negative or 0, and so may the multiplier.
SETTINGS = [(0.1, 2.0), (-0.3, -1.0), (2.0, 0.0), (0.0, 1.0)]


@pytest.mark.parametrize("c, multiplier", SETTINGS)
def test_it_is_the_listing(c, multiplier):
    params = params_of(c, multiplier)
    actual = bias_laws.matrix(BIAS, params, Q, K)
    # A ratio of two logarithms takes six roundings, and the network a few more.
    size = magnitude(params)
    assert_close(actual, expected(params, Q, K), magnitude=size, roundings=8)


def test_far_positions_are_told_apart():
    """They are integers of float32, of which bfloat16 holds few."""
    params = params_of(multiplier=2.0)
    q, k = np.array([300, 4095, 70_001, 2**20 + 1]), np.array([0, 257, 65_537])
    actual = bias_laws.matrix(BIAS, params, q, k)
    size = magnitude(params) * 4  # keys after the query have ratios up to 5
    assert_close(actual, expected(params, q, k), magnitude=size, roundings=8)


def close(params):
    """The rounding of a product whose order may depend on its shape."""
    size = magnitude(params)
    return lambda a, b: assert_close(a, np.asarray(b), magnitude=size)


@pytest.mark.parametrize("multiplier", (1.0, 0.04))
def test_a_cache_padding_and_packing_change_nothing(multiplier):
    params = params_of(multiplier=multiplier)
    # The ratio of the second one depends on the query from position 4 on.
    bias_laws.check_parts(BIAS, params, same=close(params), far=0)


def test_it_depends_on_the_position_of_the_query():
    params = params_of(multiplier=0.2)  # a threshold of 20
    biases = np.asarray(bias_laws.matrix(BIAS, params, range(60), range(60)))
    near, far = (np.diagonal(biases[:, i:, i:], -5, 1, 2)[:, 0] for i in (0, 50))
    assert np.abs(near - far).max() > 1e-3
    # Below the threshold it is the distance alone that counts.
    first, last = (np.diagonal(biases[:, i:, i:], -5, 1, 2)[:, 0] for i in (0, 15))
    close(params)(first, last)


def test_both_programs_of_known_positions_agree():
    """One runs the network for each distance, the other one for each pair."""
    near, far = params_of(multiplier=1.29), params_of(multiplier=1.28)  # 129 and 128
    for params in (near, far):
        actual = bias_laws.matrix(BIAS, params, Q, K)
        traced = bias_laws.matrix(BIAS, params, np.array(Q), np.array(K))
        close(params)(actual, traced)


def test_it_is_the_same_outside_jit_and_rounded_once():
    params = params_of()
    eager = F.apply_position_bias(BIAS, params, range(3, 8), range(9))
    close(params)(eager, bias_laws.matrix(BIAS, params, range(3, 8), range(9)))
    bias_laws.check_low_precision(BIAS, params)


# The threshold lies between two positions, where there is one slope.
@pytest.mark.parametrize("multiplier", (1.003, *slow(2.003)))
def test_gradients_are_those_of_float64(multiplier):
    """By differences of the reference, whose error is below 1e-6 of the gradient."""
    params = params_of(multiplier=multiplier)
    weights = np.random.default_rng(0).normal(size=(5, len(Q), len(K)))
    weights = weights.astype(np.float32)
    actual = bias_laws.gradient(BIAS, params, Q, K, weights)
    wide = jax.tree.map(lambda t: np.asarray(t, np.float64), params)
    columns = {"c": (), "multiplier": (), "hidden_weight": 3, "hidden_bias": 5}
    columns |= {"weight": (3, 1), "bias": 2}
    for field, column in columns.items():
        values = getattr(wide, field)
        step = np.zeros_like(values)
        step[column] = 1e-6
        sides = (
            (weights * expected(wide._replace(**{field: values + s}), Q, K)).sum()
            for s in (step, -step)
        )
        slope = np.subtract(*sides) / 2e-6
        got = float(np.asarray(getattr(actual, field))[column])
        # Sums of 39,000 numbers of either sign, in blocks.
        assert abs(got - slope) <= 1e-5 * np.abs(weights).sum() * 0.1


def test_parameters_are_drawn_as_the_listing_draws_them():
    params = F.init_position_bias(jax.random.key(1), F.FireBias(40), dtype="float32")
    assert isinstance(params, F.FireBiasParams)
    assert float(params.c) == np.float32(0.1) and float(params.multiplier) == 1
    limits = {"hidden_weight": 1, "hidden_bias": 1, "weight": 32**-0.5}
    for field, limit in limits.items():
        most = float(np.abs(getattr(params, field)).max())
        assert 0.8 * limit < most < limit


def test_the_slow_program_holds_few_hidden_units():
    """A hidden layer of every pair of 1024 positions would take 134 MB."""
    bias = F.FireBias(2)
    params = F.init_position_bias(jax.random.key(0), bias, dtype="float32")
    weights = np.ones((2, 1024, 1024), np.float32)

    def of_sum(params, weights):
        biases = F.apply_position_bias(bias, params, range(1024), range(1024))
        return (weights * biases).sum()

    compiled = jax.jit(jax.grad(of_sum)).lower(params, weights).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 40e6


@pytest.mark.errors
def test_bad_settings_and_parameters_are_refused():
    with pytest.raises(ValueError, match="FireBias: length=0 must be finite and posit"):
        F.FireBias(2, length=0)
    with pytest.raises(ValueError, match="num_hidden=0 must be a positive integer"):
        F.FireBias(2, num_hidden=0)
    for eps in (0, 1e-50):  # which is 0 in float32
        with pytest.raises(ValueError, match=f"eps={eps} must be a finite number in"):
            F.FireBias(2, eps=eps)
    params = params_of()._replace(weight=np.ones((5, 32), np.float32))
    with pytest.raises(ValueError, match=r"params.weight.shape=\(5, 32\) must be \(32"):
        F.apply_position_bias(BIAS, params, [0], [0])
