"""Window biases of Swin, Video Swin and BEiT, against their papers."""

import re

import bias_laws
import grid_bias_laws as laws
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import window_bias_oracles as oracle
from helpers import assert_same_bits, jitted, refused, slow
from query_biases import matrix

import attnax.functional as F

HEADS = 3
BIASES = {
    "wide": F.WindowBias(HEADS, (3, 5)),
    "class token": F.WindowBias(HEADS, (3, 2), num_prefix_tokens=1),
    "two prefix tokens": F.WindowBias(HEADS, (2, 3), num_prefix_tokens=2),
    "one place": F.WindowBias(HEADS, (1, 1)),
    "video": F.WindowBias(HEADS, (2, 3, 4)),
}
named = pytest.mark.parametrize("name", BIASES)
few = pytest.mark.parametrize("name", ["class token", *slow("wide", "video")])
draw = jitted(F.init_position_bias)


def params_of(bias):
    return laws.table(0, bias.num_rows, bias.num_heads)


def expected(bias, params):
    tokens = range(bias.num_tokens)
    if len(bias.window) == 3:
        return oracle.volume_bias(params.table, bias.window, tokens, tokens)
    prefix = bias.num_prefix_tokens
    return oracle.window_bias(params.table, bias.window, tokens, tokens, prefix)


@named
def test_rows_of_differences(name):
    bias = BIASES[name]
    params = params_of(bias)
    laws.check_forms(bias, params, expected(bias, params), bias.num_tokens)


@named
def test_the_index_names_the_rows(name):
    bias = BIASES[name]
    table = params_of(bias).table
    index = F.window_index(bias.window, num_prefix_tokens=bias.num_prefix_tokens)
    assert index.dtype == np.int32
    wanted = expected(bias, params_of(bias))
    np.testing.assert_array_equal(np.moveaxis(table[index], -1, 0), wanted)
    # Every row belongs to a pair; two prefix tokens share the rows of one.
    assert set(index.ravel().tolist()) == set(range(bias.num_rows))


@few
def test_tokens_in_any_order(name):
    laws.check_any_order(BIASES[name], params_of(BIASES[name]), BIASES[name].num_tokens)


def test_the_bias_depends_on_the_difference_of_places():
    bias = BIASES["wide"]
    biases = matrix(bias, params_of(bias), range(15), range(15))
    places = np.reshape(biases, (HEADS, 3, 5, 3, 5))
    down, right = places[:, 1:, :, 1:], places[:, :, 1:, :, 1:]
    np.testing.assert_array_equal(down, places[:, :-1, :, :-1])
    np.testing.assert_array_equal(right, places[:, :, :-1, :, :-1])


def test_the_program_of_all_tokens_is_that_of_eager_code():
    bias = BIASES["class token"]
    params, tokens = params_of(bias), range(bias.num_tokens)
    eager = F.apply_position_bias(bias, params, tokens, tokens)
    assert_same_bits(eager, matrix(bias, params, tokens, tokens))


@few
def test_bfloat16_is_float32_rounded_once(name):
    bias = BIASES[name]
    bias_laws.check_low_precision(bias, params_of(bias), length=bias.num_tokens)


@pytest.mark.parametrize("traced", [False, *slow(True)])
@few
def test_the_gradient_is_the_sum_over_pairs(name, traced):
    bias = BIASES[name]
    tokens = np.arange(bias.num_tokens)
    weights = np.random.default_rng(2).normal(size=(HEADS, *tokens.shape * 2))
    weights = weights.astype(np.float32)
    at = jnp.asarray(tokens) if traced else tokens
    actual = bias_laws.gradient(bias, params_of(bias), at, at, weights).table
    index = F.window_index(bias.window, num_prefix_tokens=bias.num_prefix_tokens)
    sums, sizes = bias_laws.sums_by_row(index, weights, bias.num_rows)
    # A sum of at most 24 numbers is rounded at most 24 times.
    assert (np.abs(np.asarray(actual) - sums) <= 24 * 2.0**-24 * sizes).all()


def test_the_gradient_of_a_bfloat16_table_is_rounded_once():
    """Sums of up to 64 times 100, of which bfloat16 would lose the last bits."""
    bias = F.WindowBias(1, (64, 1))
    params = F.TableBiasParams(jnp.zeros((127, 1), jnp.bfloat16))
    weights = np.full((1, 64, 64), 100, np.float32)
    actual = bias_laws.gradient(bias, params, range(64), range(64), weights).table
    assert actual.dtype == jnp.bfloat16
    sums = 100.0 * (64 - abs(np.arange(-63, 64)))[:, None]
    assert_same_bits(actual, sums.astype(actual.dtype))


def test_parameters_are_drawn():
    bias = BIASES["class token"]
    params = draw(jax.random.key(0), bias, dtype="bfloat16")
    assert params.table.shape == (5 * 3 + 3, HEADS)
    assert params.table.dtype == jnp.bfloat16
    assert 0 < np.abs(np.asarray(params.table, np.float32)).max() < 0.2


# What users of released code ran into


def test_the_table_gets_its_gradient_in_every_step():
    """A bias made when the model is built trains nothing. # google-research/maxvit#7"""
    bias = F.WindowBias(HEADS, (2, 2))
    params = params_of(bias)

    @jax.jit
    def step(params):
        def loss(params):
            return (F.apply_position_bias(bias, params, range(4), range(4)) ** 2).sum()

        gradient = jax.grad(loss)(params)
        return jax.tree.map(lambda p, g: p - 0.01 * g, params, gradient), loss(params)

    losses = []
    for _ in range(3):
        params, loss = step(params)
        losses.append(float(loss))
    assert losses[0] > losses[1] > losses[2]


def test_places_of_three_axes_have_rows_of_their_own():
    """A stride left out gave two differences one row. # nnFormer#88"""
    window = (2, 3, 4)
    index = F.window_index(window)
    places = np.indices(window).reshape(3, -1).T
    differences = (places[:, None] - places).reshape(-1, 3)
    rows = index.ravel().tolist()
    pairs = {(*d, n) for d, n in zip(differences.tolist(), rows, strict=True)}
    assert len(pairs) == 3 * 5 * 7 == len(np.unique(differences, axis=0))


@pytest.mark.errors
def test_a_table_of_another_window_is_refused():
    """microsoft/Swin-Transformer#24, #117, mmpretrain#749."""
    bias = F.WindowBias(HEADS, (12, 12))
    params = laws.table(0, 13 * 13, HEADS)  # of windows of 7
    message = re.escape("params.table.shape=(169, 3) must be (529, 3)")
    with pytest.raises(ValueError, match=message):
        F.apply_position_bias(bias, params, range(144), range(144))
    table = F.resize_relative_table(params.table, (7, 7), (12, 12), method="bicubic")
    params = F.TableBiasParams(table)
    jax.eval_shape(lambda: F.apply_position_bias(bias, params, range(144), range(144)))


def test_own_and_shared_tables_of_beit_are_added():
    """ViT-Adapter#178 asks which of the two a model has: it may have both."""
    bias = BIASES["class token"]
    own, shared = (laws.table(seed, bias.num_rows, HEADS) for seed in (3, 4))
    tokens = range(bias.num_tokens)
    total = sum(matrix(bias, params, tokens, tokens) for params in (own, shared))
    both = expected(bias, own) + expected(bias, shared)
    np.testing.assert_allclose(total, both, rtol=0, atol=8 * 2.0**-24)


@pytest.mark.parametrize("window", [(3, 3), *slow((2, 4))])
def test_a_smaller_window_is_a_part_of_the_same_table(window):
    """The smaller window of a small image needs its own table in released code.

    transformers changes the window and keeps the index, which fails. Places of a part
    of the window have the biases of that part.
    """
    bias, params = F.WindowBias(HEADS, (4, 5)), laws.table(5, 7 * 9, HEADS)
    rows, columns = window
    at = np.arange(20).reshape(4, 5)[:rows, :columns].ravel()
    table = params.table.reshape(7, 9, HEADS)
    table = table[4 - rows : 3 + rows, 5 - columns : 4 + columns].reshape(-1, HEADS)
    part = F.WindowBias(HEADS, window)
    tokens = range(part.num_tokens)
    small = matrix(part, F.TableBiasParams(table), tokens, tokens)
    np.testing.assert_array_equal(matrix(bias, params, at, at), small)


# Errors


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"num_heads": 0}, "num_heads=0 must be a positive integer"),
        ({"window": (7,)}, re.escape("window=(7,) must be (rows, columns)")),
        ({"window": (7, 0)}, re.escape("window=(7, 0) must be (rows, columns)")),
        ({"num_prefix_tokens": -1}, "num_prefix_tokens=-1 must be an integer"),
    ],
)
def test_settings_out_of_range(arguments, message):
    with refused(message):
        F.WindowBias(**{"num_heads": 2, "window": (7, 7)} | arguments)
    arguments.pop("num_heads", None)
    if arguments:
        with refused(message):
            F.window_index(**{"window": (7, 7)} | arguments)


@pytest.mark.errors
def test_known_tokens_outside_the_window_are_refused():
    bias = BIASES["class token"]
    with pytest.raises(
        ValueError, match=re.escape("k_positions[7]=7 must lie in [0, 7")
    ):
        F.apply_position_bias(bias, params_of(bias), range(7), range(8))


def test_traced_tokens_outside_the_window_give_nan():
    bias = BIASES["class token"]
    biases = matrix(bias, params_of(bias), np.array([0, 7]), np.array([-1, 3, 6]))
    nan = np.isnan(biases)
    np.testing.assert_array_equal(nan[0], [[True, False, False], [True] * 3])
