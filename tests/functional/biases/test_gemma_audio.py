"""The bias of Gemma's audio towers, in every form, against its equation."""

import jax
import numpy as np
import pytest
import transformer_xl_bias_oracles as oracle
from bias_laws import check_widened
from helpers import assert_close, assert_same_bits, refused, slow
from query_biases import forms, matrix, normal

import attnax.functional as F

HEADS, WIDTH, FEATURES, LENGTH = 3, 4, 10, 11
BIASES = {
    "released": F.GemmaAudioBias(HEADS, WIDTH, FEATURES, left=4),
    "both sides": F.GemmaAudioBias(HEADS, WIDTH, FEATURES, left=2, right=3),
    "itself": F.GemmaAudioBias(HEADS, WIDTH, 2, left=0),
}
Q = normal(0, 2, LENGTH, HEADS, WIDTH)
QUICK = pytest.mark.parametrize("name", ("both sides", *slow("released", "itself")))


def params_of(bias, scaled=True):
    scale = normal(2, WIDTH) if scaled else None
    return F.GemmaAudioBiasParams(normal(1, HEADS, WIDTH, bias.d_model), scale)


def scaled(params, q):
    """The queries of the content, in float64."""
    q = np.asarray(q, np.float64)
    if params.per_dim_scale is None:
        return q
    softplus = np.log1p(np.exp(params.per_dim_scale.astype(np.float64)))
    return q * softplus / np.log(2) / WIDTH**0.5


def expected(bias, params, q_positions, k_positions, q):
    pairs = oracle.distances(q_positions, k_positions)
    for pair, distance in np.ndenumerate(pairs):
        if not -bias.right <= distance <= bias.left:
            pairs[pair] = None

    def encode(distance):
        return oracle.timescales(distance, bias.d_model)

    out = oracle.position_bias(scaled(params, q), 0.0, params.weight, encode, pairs)
    return out * WIDTH**0.5


# Sums of 40 products of numbers below 4, each of which is rounded a few times.
CLOSE = {"magnitude": 40.0}


@QUICK
def test_every_form_is_the_equation(name):
    bias, positions = BIASES[name], (range(2, 9), range(LENGTH))
    params, q = params_of(bias), Q[:, 2:9]
    wanted = expected(bias, params, *positions, q)
    for actual in forms(bias, params, *positions, batch=2, q=q):
        assert_close(actual, wanted, **CLOSE)


@QUICK
def test_zero_outside_the_span(name):
    bias = BIASES[name]
    distance = np.subtract.outer(np.arange(LENGTH), np.arange(LENGTH))
    outside = (distance > bias.left) | (distance < -bias.right)
    for positions in (range(LENGTH), np.arange(LENGTH)):
        out = np.asarray(matrix(bias, params_of(bias), positions, positions, q=Q))
        assert (out[:, :, outside] == 0).all()
        assert (out[:, :, ~outside] != 0).all()


def test_a_chunk_has_the_bias_of_the_whole():
    """Blocks of four queries with the keys around them, of two sequences."""
    bias = BIASES["both sides"]
    params = params_of(bias)
    whole = matrix(bias, params, range(LENGTH), range(LENGTH), q=Q)
    chunk = matrix(bias, params, range(4, 8), range(2, 11), q=Q[:, 4:8])
    assert_close(chunk, whole[:, :, 4:8, 2:11], **CLOSE)
    starts = np.array([[0], [4]])
    q = np.stack([Q[0, :4], Q[0, 4:8]])
    blocks = matrix(bias, params, starts + np.arange(4), starts + np.arange(-2, 7), q=q)
    assert_close(blocks[0, ..., 2:], whole[0, :, :4, :7], **CLOSE)
    assert_close(blocks[1], whole[0, :, 4:8, 2:11], **CLOSE)


def test_queries_that_are_scaled_already():
    bias = BIASES["released"]
    params = params_of(bias)
    positions = range(LENGTH), range(LENGTH)
    whole = matrix(bias, params, *positions, q=Q)
    q = scaled(params, Q).astype(np.float32)
    plain = matrix(bias, params._replace(per_dim_scale=None), *positions, q=q)
    assert_close(plain, whole, **CLOSE)


@pytest.mark.parametrize("known", (True, False), ids=("known", "traced"))
def test_gradients(known):
    bias = BIASES["both sides"]
    params, weights = params_of(bias), normal(3, 2, HEADS, LENGTH, LENGTH)
    positions = range(LENGTH) if known else np.arange(LENGTH)

    def loss(params, q):
        out = F.apply_position_bias(bias, params, positions, positions, q=q)
        return (weights * out).sum()

    of_params, of_q = jax.jit(jax.grad(loss, (0, 1)))(params, Q)
    pairs = oracle.distances(range(LENGTH), range(LENGTH)).astype(int)
    inside = (pairs >= -bias.right) & (pairs <= bias.left)
    r = np.stack([oracle.timescales(c, FEATURES) for c in pairs.ravel()])
    r = r.reshape(LENGTH, LENGTH, -1) * inside[..., None]
    p = params.per_dim_scale.astype(np.float64)
    factor = 1 / np.log(2) / WIDTH**0.5
    scale = factor * np.log1p(np.exp(p))
    of_scaled = np.einsum("bhij,hdm,ijm->bihd", weights, params.weight, r)
    # The derivative of the softplus is the sigmoid.
    of_scale = np.einsum("bihd,bihd->d", of_scaled, Q) * factor / (1 + np.exp(-p))
    of_weight = np.einsum("bhij,bihd,ijm->hdm", weights, Q * scale, r)
    # Sums of at most 2 * 3 * 6 * 11 * 10 terms, whose errors of either sign cancel.
    assert_close(of_q, of_scaled * scale, **CLOSE)
    assert_close(of_params.weight, of_weight, magnitude=200.0)
    assert_close(of_params.per_dim_scale, of_scale, magnitude=1000.0)


def test_bfloat16_is_widened():
    check_widened(BIASES["released"], params_of(BIASES["released"]), Q)


def test_initial_parameters_leave_queries_as_they_are():
    bias = BIASES["released"]
    params = F.init_position_bias(jax.random.key(0), bias, init_std=0.5)
    assert params.weight.shape == (HEADS, WIDTH, FEATURES)
    assert 0.3 < np.std(params.weight) < 0.7
    assert_same_bits(params.per_dim_scale, np.zeros_like(params.per_dim_scale))


@pytest.mark.errors
@pytest.mark.parametrize(
    ("settings", "message"),
    (
        ({"d_model": 5}, "d_model=5 must be positive and even"),
        ({"left": -1}, "left=-1 must be an integer in"),
        ({"right": 0.5}, "right=0.5 must be an integer in"),
    ),
)
def test_settings_out_of_range(settings, message):
    sizes = {"num_heads": 2, "head_dim": 4, "d_model": 6, "left": 1}
    with refused(f"GemmaAudioBias: {message}"):
        F.GemmaAudioBias(**sizes | settings)


@pytest.mark.errors
@pytest.mark.parametrize("name", F.GemmaAudioBiasParams._fields)
def test_parameters_of_another_shape(name):
    bias = BIASES["released"]
    params = params_of(bias)._replace(**{name: np.ones(WIDTH + 1, np.float32)})
    with refused(rf"apply_position_bias: params.{name}.shape=\(5,\) must be"):
        F.apply_position_bias(bias, params, range(LENGTH), range(LENGTH), q=Q)
