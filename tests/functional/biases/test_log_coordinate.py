"""Biases of log coordinates of Swin v2, against the paper and its code."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import window_bias_oracles as oracle
from bias_laws import check_low_precision, gradient, sums_by_row
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from query_biases import forms, matrix, normal

import attnax.functional as F

HEADS, HIDDEN = 3, 16
BIASES = {
    "swin v2": F.LogCoordinateBias(HEADS, (3, 5), hidden_size=HIDDEN),
    "pretrained": F.LogCoordinateBias(
        HEADS, (3, 5), hidden_size=HIDDEN, pretrained_window=(4, 2)
    ),
    "cr": F.LogCoordinateBias(HEADS, (3, 5), hidden_size=HIDDEN, form="cr"),
    "cr, class token": F.LogCoordinateBias(
        HEADS, (2, 3), hidden_size=HIDDEN, form="cr", num_prefix_tokens=1
    ),
    "one row": F.LogCoordinateBias(HEADS, (1, 3), hidden_size=HIDDEN),
}
named = pytest.mark.parametrize("name", BIASES)
few = pytest.mark.parametrize("name", ["pretrained", *slow("cr, class token")])
draw = jitted(F.init_position_bias)


def params_of(bias):
    params = F.LogCoordinateBiasParams(
        normal(0, 2, HIDDEN), normal(1, HIDDEN), normal(2, HIDDEN, HEADS) / HIDDEN
    )
    return params._replace(bias=normal(3, HEADS)) if bias.form == "cr" else params


def expected(bias, params):
    mlp = params.hidden_weight.T, params.hidden_bias, params.weight.T, params.bias
    tokens = range(bias.num_tokens)
    return oracle.log_coordinate_bias(
        mlp,
        bias.window,
        tokens,
        tokens,
        pretrained=bias.pretrained_window or (0, 0),
        form="cr" if bias.form == "cr" else "swin",
        prefix=bias.num_prefix_tokens,
    )


# A product of 16 numbers up to 3, whose sum is below 4, and 16 times its sigmoid, which
# changes four times as fast; in the form "cr" the sum alone.
CLOSE = {"magnitude": 16.0, "roundings": 4}


@named
def test_a_network_of_log_coordinates(name):
    bias = BIASES[name]
    params, tokens = params_of(bias), range(bias.num_tokens)
    wanted = expected(bias, params)
    made = [
        np.reshape(t, wanted.shape)
        for t in forms(bias, params, tokens, tokens, batch=1)
    ]
    assert_close(made[0], wanted, **CLOSE)
    for other in made[1:]:
        np.testing.assert_array_equal(other, made[0])


def test_coordinates_of_the_paper():
    """Equation 4 and the factors of the code: 8 at the last place has logarithm 1."""
    coordinates = F.log_coordinates((3, 8))
    assert coordinates.shape == (5, 15, 2) and coordinates.dtype == np.float64
    edge = np.log2(9) / 3
    np.testing.assert_allclose(coordinates[-1, -1], [edge, edge], rtol=2.0**-52)
    np.testing.assert_array_equal(coordinates, -coordinates[::-1, ::-1])
    assert (coordinates[2, 7] == 0).all()
    for n, d in enumerate(range(-2, 3)):
        wanted = oracle.log_coordinate(d, 3, 0)
        np.testing.assert_allclose(coordinates[n, :, 0], wanted, rtol=2.0**-51)
    cr = F.log_coordinates((3, 8), form="cr")
    np.testing.assert_allclose(cr[0, :, 0], -np.log(3), rtol=2.0**-51)


def test_the_bias_is_between_0_and_16():
    bias = BIASES["swin v2"]
    params = params_of(bias)
    params = params._replace(weight=100 * params.weight)
    biases = matrix(bias, params, range(15), range(15))
    assert biases.min() >= 0 and biases.max() <= 16
    assert biases.min() < 1 and biases.max() > 15


def test_prefix_tokens_have_no_bias():
    bias = BIASES["cr, class token"]
    biases = matrix(bias, params_of(bias), range(7), range(7))
    assert (biases[:, 0] == 0).all() and (biases[:, :, 0] == 0).all()
    assert (biases[:, 1:, 1:] != 0).all()


def test_the_network_runs_once_for_each_difference():
    """No array of the program holds a hidden layer for each of the 625 pairs."""
    bias = F.LogCoordinateBias(HEADS, (5, 5), hidden_size=HIDDEN)
    jaxpr = jax.make_jaxpr(
        lambda params: F.apply_position_bias(bias, params, range(25), range(25))
    )(params_of(bias))
    sizes = re.findall(r":f32\[([\d,]+)\]", str(jaxpr))
    largest = max(np.prod([int(n) for n in size.split(",")]) for size in sizes)
    assert largest == HEADS * 25 * 25


def test_outside_jit():
    bias = BIASES["pretrained"]
    eager = F.apply_position_bias(bias, params_of(bias), range(15), range(15))
    assert_close(eager, expected(bias, params_of(bias)), **CLOSE)


@few
def test_bfloat16_is_float32_rounded_once(name):
    bias = BIASES[name]
    check_low_precision(bias, params_of(bias), length=bias.num_tokens)


def test_bfloat16_parameters_are_used_in_float32():
    bias = BIASES["swin v2"]
    narrow = jax.tree.map(lambda a: jnp.asarray(a, "bfloat16"), params_of(bias))
    wide = jax.tree.map(lambda a: np.asarray(a, "float32"), narrow)
    tokens = range(15)
    assert_same_bits(
        matrix(bias, narrow, tokens, tokens), matrix(bias, wide, tokens, tokens)
    )


@few
def test_gradients_in_float64(name):
    bias = BIASES[name]
    params, tokens = params_of(bias), range(bias.num_tokens)
    weights = normal(4, HEADS, len(tokens), len(tokens))
    actual = gradient(bias, params, tokens, tokens, weights)
    wanted = _gradients(bias, params, weights)
    for field, own in wanted.items():
        magnitude = np.abs(own).max() + 30
        # Sums over pairs and hidden units of numbers up to 16, some hundred at a time.
        assert_close(getattr(actual, field), own, magnitude=magnitude, roundings=32)


def _gradients(bias, params, weights):
    """The chain rule in float64, for the network and each difference of places."""
    index = F.window_index(bias.window, num_prefix_tokens=bias.num_prefix_tokens)
    x = F.log_coordinates(
        bias.window, pretrained_window=bias.pretrained_window, form=bias.form
    ).reshape(-1, 2)
    sums, _ = sums_by_row(index, weights, index.max() + 1)
    sums = sums[: len(x)]  # the rows of prefix tokens are constant
    wide = [None if p is None else np.float64(p) for p in params]
    hidden = x @ wide[0] + wide[1]
    on = np.maximum(hidden, 0)
    if bias.form == "swin_v2":
        share = 1 / (1 + np.exp(-(on @ wide[2])))
        sums = sums * 16 * share * (1 - share)
    of_hidden = (sums @ wide[2].T) * (hidden > 0)
    made = {"hidden_weight": x.T @ of_hidden, "hidden_bias": of_hidden.sum(0)}
    made["weight"] = on.T @ sums
    return made | ({"bias": sums.sum(0)} if bias.form == "cr" else {})


@pytest.mark.parametrize("form", ["swin_v2", "cr"])
def test_parameters_are_drawn(form):
    bias = F.LogCoordinateBias(HEADS, (8, 8), form=form)
    params = draw(jax.random.key(0), bias, init_std=0.02)
    assert params.hidden_weight.shape == (2, 512)
    assert 0.01 < np.std(params.weight) < 0.03
    assert not np.any(params.hidden_bias)
    assert (params.bias is None) == (form == "swin_v2")


# What users of released code ran into


def test_a_larger_window_keeps_the_biases_of_the_first_training():
    """Without the pretrained window they change. # microsoft/Swin-Transformer#385"""
    small = F.LogCoordinateBias(HEADS, (3, 4), hidden_size=HIDDEN)
    params = params_of(small)
    trained = matrix(small, params, range(12), range(12))
    inside = np.arange(30).reshape(5, 6)[:3, :4].ravel()

    def in_large(**options):
        large = F.LogCoordinateBias(HEADS, (5, 6), hidden_size=HIDDEN, **options)
        return matrix(large, params, inside, inside)

    # The same coordinates in another number of rows, which a product may sum otherwise.
    assert_close(in_large(pretrained_window=(3, 4)), trained, **CLOSE)
    assert np.abs(in_large() - trained).max() > 0.1


@pytest.mark.parametrize("options", [{}, {"pretrained_window": (1, 1)}])
def test_a_window_of_one_place_divides_by_nothing(options):
    """The code of the authors has 0 / 0 there, and of a first window of 1 x / 0."""
    sides = (1, 1) if not options else (2, 2)
    bias = F.LogCoordinateBias(HEADS, sides, hidden_size=HIDDEN, **options)
    tokens = range(bias.num_tokens)
    params = params_of(bias)
    biases = matrix(bias, params, tokens, tokens)
    assert np.isfinite(biases).all()
    gradients = gradient(bias, params, tokens, tokens, np.ones_like(biases))
    assert all(np.isfinite(g).all() for g in jax.tree.leaves(gradients))
    assert np.isfinite(F.log_coordinates(sides, **options)).all()


# Errors


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"window": (8,)}, re.escape("window=(8,) must be (rows, columns)")),
        ({"form": "swin"}, "form='swin' must be 'swin_v2' or 'cr'"),
        (
            {"pretrained_window": (0, 0)},
            re.escape("pretrained_window=(0, 0) must be (rows, columns)"),
        ),
        (
            {"pretrained_window": (8, 8), "form": "cr"},
            re.escape("pretrained_window=(8, 8) must be None with form='cr'"),
        ),
        ({"hidden_size": 0}, "hidden_size=0 must be a positive integer"),
        ({"num_prefix_tokens": -1}, "num_prefix_tokens=-1 must be an integer"),
    ],
)
def test_settings_out_of_range(arguments, message):
    with refused(message):
        F.LogCoordinateBias(**{"num_heads": 2, "window": (8, 8)} | arguments)
    if not {"hidden_size", "num_prefix_tokens"} & set(arguments):
        with refused(message):
            F.log_coordinates(**{"window": (8, 8)} | arguments)


@pytest.mark.errors
@pytest.mark.parametrize(
    "changed, message",
    [
        (
            {"weight": np.ones((HEADS, HIDDEN), np.float32)},
            "params.weight.shape=(3, 16)",
        ),
        (
            {"hidden_bias": None},
            "params.hidden_bias is a NoneType, but must be an array",
        ),
        ({"bias": np.ones(HEADS, np.float32)}, "params.bias must be None"),
    ],
)
def test_parameters_of_another_network(changed, message):
    bias = BIASES["swin v2"]
    params = params_of(bias)._replace(**changed)
    with refused(re.escape(message)):
        F.apply_position_bias(bias, params, range(15), range(15))
