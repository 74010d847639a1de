"""Inkling's profiles and temperature, in every form, against their equations."""

import jax
import numpy as np
import profile_bias_oracles as oracle
import pytest
from bias_laws import check_widened
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from query_biases import forms, matrix, normal

import attnax.functional as F

HEADS, PROFILES, EXTENT, LENGTH = 3, 4, 5, 11
SIZES = HEADS, PROFILES, EXTENT
BIASES = {
    "window": F.ProfileBias(*SIZES),
    "all tokens": F.ProfileBias(*SIZES, floor=4, alpha=0.5),
    "limited": F.ProfileBias(*SIZES, max_norm=1.5, floor=4),
    "one distance": F.ProfileBias(HEADS, PROFILES, 1),
}
QUICK = "window", "limited"
named = pytest.mark.parametrize("name", (*QUICK, *slow("all tokens", "one distance")))
Q = normal(0, 2, LENGTH, HEADS, PROFILES)
# Weights of a norm below the limit, above it, and of zeros.
Q[0, 0], Q[0, 1], Q[1, 2] = 0.1 * Q[0, 0], 5 * Q[0, 1], 0


def params_of(bias):
    scale = None if bias.max_norm is None else 1 + 0.3 * normal(2, HEADS, PROFILES)
    return F.ProfileBiasParams(normal(1, PROFILES, bias.extent), scale)


def expected(bias, params, q_positions, k_positions, q):
    weights = np.asarray(q, np.float64)
    if bias.max_norm is not None:
        weights = oracle.clip_norm(weights * params.scale, bias.max_norm)
    if bias.floor is not None:
        tau = oracle.temperature(q_positions, bias.alpha, bias.floor)
        weights = weights * tau[:, None, None]
    return oracle.bias(weights, params.bank, q_positions, k_positions)


# Sums of four products of numbers below 4, and a norm and a factor before them.
CLOSE = {"magnitude": 16.0}


@named
def test_every_form_is_the_equation(name):
    bias, positions = BIASES[name], (range(4, LENGTH), range(LENGTH))
    params, q = params_of(bias), Q[:, :7]
    wanted = expected(bias, params, *positions, q)
    for actual in forms(bias, params, *positions, batch=2, q=q):
        assert_close(actual, wanted, **CLOSE)


@named
def test_zero_after_the_query_and_beyond_the_bank(name):
    bias = BIASES[name]
    q = 1 + Q**2
    distance = np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))
    outside = (distance < 0) | (distance >= bias.extent)
    for positions in (range(LENGTH), np.arange(LENGTH)):
        out = np.asarray(matrix(bias, params_of(bias), positions, positions, q=q))
        assert (out[:, :, outside] == 0).all()
        assert (out[:, :, ~outside] != 0).all()


def test_extreme_positions():
    positions = np.array([-(2**31), -1, 0, 3, 2**31 - 1])
    for name in QUICK:
        bias, params = BIASES[name], params_of(BIASES[name])
        out = matrix(bias, params, positions, positions, q=Q[:, :5])
        wanted = expected(bias, params, positions, positions, Q[:, :5])
        assert_close(out, wanted, magnitude=32.0)  # a temperature of up to 3


def test_pieces_of_a_sequence_have_the_bias_of_the_whole():
    """Decoding with a cache, left padding and packed documents."""
    bias, params = BIASES["limited"], params_of(BIASES["limited"])
    whole = matrix(bias, params, range(LENGTH), range(LENGTH), q=Q)
    for positions in (np.array([7]), np.arange(LENGTH)), (range(7, 8), range(LENGTH)):
        step = matrix(bias, params, *positions, q=Q[:, 7:8])
        assert_close(step, whole[:, :, 7:8], **CLOSE)
    positions = np.array([[0, 0, *range(9)], [0, 1, 2, 3, *range(7)]])
    q = np.stack([np.concatenate([Q[0, :2], Q[0, :9]]), Q[1]])
    batched = matrix(bias, params, positions, positions, q=q)
    assert_close(batched[0, :, 2:, 2:], whole[0, :, :9, :9], **CLOSE)
    assert_close(batched[1, :, :4, :4], whole[1, :, :4, :4], **CLOSE)


@pytest.mark.parametrize("known", (True, False), ids=("known", "traced"))
def test_gradients(known):
    bias, params = BIASES["window"], params_of(BIASES["window"])
    weights = normal(3, 2, HEADS, LENGTH, LENGTH)
    positions = range(LENGTH) if known else np.arange(LENGTH)

    def loss(params, q):
        out = F.apply_position_bias(bias, params, positions, positions, q=q)
        return (weights * out).sum()

    of_params, of_q = jax.jit(jax.grad(loss, (0, 1)))(params, Q)
    distance = np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))
    one_hot = (distance[..., None] == np.arange(EXTENT)).astype(np.float64)
    scaled = np.einsum("bhij,ijc->bhic", weights, one_hot)
    of_bank = np.einsum("bhic,bihn->nc", scaled, Q)
    assert_close(of_q, np.einsum("bhic,nc->bihn", scaled, params.bank), **CLOSE)
    # Up to 2 * 3 * 11 terms of a size of 1, whose errors of either sign cancel.
    assert_close(of_params.bank, of_bank, magnitude=66.0)


def test_gradients_of_a_limited_norm():
    """Against differences in float64, and finite at weights of zero."""
    bias, params = BIASES["limited"], params_of(BIASES["limited"])
    positions, weights = range(3), normal(3, 2, HEADS, 3, 3)
    q = Q[:, :3]

    def loss(q, scale):
        given = params._replace(scale=scale)
        out = F.apply_position_bias(bias, given, positions, positions, q=q)
        return (weights * out).sum()

    def wanted(q, scale):
        out = expected(bias, params._replace(scale=scale), positions, positions, q)
        return (weights * out).sum()

    of_q, of_scale = jax.jit(jax.grad(loss, (0, 1)))(q, params.scale)
    assert np.isfinite(of_q).all()
    arrays = [np.asarray(x, np.float64) for x in (q, params.scale)]
    for n, gradient in enumerate((of_q, of_scale)):
        step, ways = 1e-6, []
        for index in np.ndindex(arrays[n].shape):
            moved = [x.copy() for x in arrays]
            moved[n][index] += step
            more = wanted(*moved)
            moved[n][index] -= 2 * step
            ways.append((more - wanted(*moved)) / (2 * step))
        # At zero, the norm is not differentiable, and 1e-6 does not reach the limit.
        assert_close(gradient, np.reshape(ways, arrays[n].shape), magnitude=16.0)


def test_bfloat16_is_widened():
    check_widened(BIASES["limited"], params_of(BIASES["limited"]), Q)


def test_initial_parameters():
    params = F.init_position_bias(jax.random.key(0), BIASES["limited"], init_std=0.5)
    assert params.bank.shape == (PROFILES, EXTENT)
    assert_same_bits(params.scale, np.ones_like(params.scale))
    init = jax.eval_shape(
        lambda key: F.init_position_bias(key, BIASES["window"]), jax.random.key(0)
    )
    assert init.scale is None


def test_the_temperature_is_the_equation():
    positions = np.array([-5, 0, 3, 4, 127_999, 128_000, 10**6, 2**31 - 1])
    temperature = jitted(F.inkling_temperature)
    for alpha, floor in ((0.1, 128_000), (0.5, 4)):
        actual = temperature(positions, alpha=alpha, floor=floor)
        wanted = oracle.temperature(positions, alpha, floor)
        # A quotient rounded to 2**-23, and a logarithm below 21, rounded and scaled.
        assert_close(actual, wanted, magnitude=1 + 21 * alpha)
        assert (np.asarray(actual)[positions < floor] == 1).all()


def test_the_temperature_of_a_traced_position_outside_int32_is_nan():
    positions = np.array([5, 2**31], np.uint32)
    out = np.asarray(jitted(F.inkling_temperature)(positions, floor=4))
    assert np.isfinite(out[0]) and np.isnan(out[1])


@pytest.mark.errors
@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"extent": 0}, "extent=0 must be an integer in"),
        ({"num_profiles": 0}, "num_profiles=0 must be a positive integer"),
        ({"max_norm": 0}, "max_norm=0 must be finite and positive"),
        ({"floor": -1}, "floor=-1 must be finite and positive"),
        ({"alpha": float("inf")}, "alpha=inf must be"),
    ),
)
def test_settings_out_of_range(settings, message):
    sizes = {"num_heads": 2, "num_profiles": 3, "extent": 4}
    with refused(f"ProfileBias: {message}"):
        F.ProfileBias(**sizes | settings)


@pytest.mark.errors
def test_a_temperature_out_of_range():
    with refused("inkling_temperature: floor=0 must be finite and positive"):
        F.inkling_temperature(np.arange(3), floor=0)
    with refused("inkling_temperature: positions.dtype=float32 must be integer"):
        F.inkling_temperature(np.ones(3, np.float32), floor=4)


@pytest.mark.errors
@pytest.mark.parametrize("name", F.ProfileBiasParams._fields)
def test_parameters_that_are_missing_or_of_another_shape(name):
    bias = BIASES["limited"]
    for wrong in (None, np.ones((2, 2), np.float32)):
        params = params_of(bias)._replace(**{name: wrong})
        with refused(
            rf"apply_position_bias: params.{name}(\.shape=\(2, 2\) must| is a)"
        ):
            F.apply_position_bias(bias, params, range(LENGTH), range(LENGTH), q=Q)


@pytest.mark.errors
def test_a_scale_without_a_greatest_norm():
    bias = BIASES["window"]
    params = params_of(bias)._replace(scale=np.ones((7, 7), np.float32))
    with refused("apply_position_bias: params.scale must be None: the bias does not"):
        F.apply_position_bias(bias, params, range(LENGTH), range(LENGTH), q=Q)
