"""Offset biases of LeViT and its kin, against the paper."""

import re

import bias_laws
import grid_bias_laws as laws
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import window_bias_oracles as oracle
from helpers import assert_same_bits, jitted, refused, slow
from query_biases import forms, matrix

import attnax.functional as F

HEADS = 2
WINDOWS = {"wide": (3, 5), "one row": (1, 4), "one place": (1, 1)}
named = pytest.mark.parametrize("name", WINDOWS)
draw = jitted(F.init_position_bias)


def case(window):
    """The record, its parameters and the number of tokens."""
    count = int(np.prod(window))
    return F.OffsetBias(HEADS, window), laws.table(0, count, HEADS), count


def asking(window, stride):
    """The numbers of every `stride`-th row and column."""
    return np.arange(np.prod(window)).reshape(window)[::stride, ::stride].ravel()


@named
def test_rows_of_distances_without_a_sign(name):
    bias, params, count = case(WINDOWS[name])
    tokens = range(count)
    wanted = oracle.offset_bias(params.table.T, bias.window, tokens, tokens)
    laws.check_forms(bias, params, wanted, count)
    np.testing.assert_array_equal(wanted, wanted.swapaxes(1, 2))
    index = F.offset_index(bias.window)
    np.testing.assert_array_equal(np.moveaxis(params.table[index], -1, 0), wanted)


ASKING = [((3, 5), 2), *slow(((4, 4), 2), ((5, 7), 3))]


@pytest.mark.parametrize("asked", ASKING)
def test_every_second_row_and_column_asks(asked):
    window, stride = asked
    bias, params, count = case(window)
    at = asking(window, stride)
    wanted = oracle.offset_bias(params.table.T, window, at, range(count))
    for actual in forms(bias, params, at, range(count), batch=1):
        np.testing.assert_array_equal(np.reshape(actual, wanted.shape), wanted)
    index = F.offset_index(window, stride=stride)
    assert index.dtype == np.int32
    np.testing.assert_array_equal(np.moveaxis(params.table[index], -1, 0), wanted)


def test_tokens_in_any_order():
    bias, params, count = case((3, 5))
    laws.check_any_order(bias, params, count)


def test_bfloat16_is_float32_rounded_once():
    bias, params, count = case((3, 5))
    bias_laws.check_low_precision(bias, params, length=count)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradient_is_the_sum_over_pairs(stride):
    window = (3, 5)
    bias, params, count = case(window)
    at = asking(window, stride)
    weights = np.random.default_rng(2).normal(size=(HEADS, len(at), count))
    weights = weights.astype(np.float32)
    actual = bias_laws.gradient(bias, params, at, np.arange(count), weights).table
    index = F.offset_index(window, stride=stride)
    sums, sizes = bias_laws.sums_by_row(index, weights, count)
    # A sum of at most 44 numbers, of which each is rounded at most 44 times.
    assert (np.abs(np.asarray(actual) - sums) <= 44 * 2.0**-24 * sizes).all()


def test_the_gradient_of_a_bfloat16_table_is_rounded_once():
    """Four differences have one row: their sums are added before the rounding."""
    bias, _, count = case((3, 3))
    params = F.TableBiasParams(jnp.zeros((count, HEADS), jnp.bfloat16))
    weights = np.random.default_rng(3).normal(size=(HEADS, count, count))
    weights = weights.astype(np.float32)
    actual = bias_laws.gradient(bias, params, range(count), range(count), weights).table
    wide = F.TableBiasParams(np.zeros((count, HEADS), np.float32))
    wanted = bias_laws.gradient(bias, wide, range(count), range(count), weights).table
    assert_same_bits(actual, np.asarray(wanted).astype(actual.dtype))


def test_a_new_table_is_read_at_once():
    """transformers keeps LeViT's bias of the first call, also after loading weights."""
    bias, params, count = case((3, 5))
    first = matrix(bias, params, range(count), range(count))
    doubled = F.TableBiasParams(2 * params.table)
    second = matrix(bias, doubled, range(count), range(count))
    np.testing.assert_array_equal(second, 2 * first)


def test_parameters_are_drawn():
    params = draw(jax.random.key(0), F.OffsetBias(HEADS, (3, 5)))
    assert params.table.shape == (15, HEADS)


@pytest.mark.errors
def test_settings_out_of_range():
    with refused(re.escape("window=(3, 5, 2) must be (rows, columns)")):
        F.OffsetBias(HEADS, (3, 5, 2))
    with refused("num_heads=0 must be a positive integer"):
        F.OffsetBias(0, (3, 5))
    with refused("stride=0 must be a positive integer"):
        F.offset_index((3, 5), stride=0)
    with refused(re.escape("window=(0, 5) must be (rows, columns)")):
        F.offset_index((0, 5))


@pytest.mark.errors
def test_a_table_with_the_heads_first_is_refused():
    bias, params, count = case((3, 5))
    params = F.TableBiasParams(params.table.T)
    message = re.escape("params.table.shape=(2, 15) must be (15, 2)")
    with pytest.raises(ValueError, match=message):
        F.apply_position_bias(bias, params, range(count), range(count))


@pytest.mark.errors
def test_known_tokens_outside_the_window_are_refused():
    bias, params, _ = case((3, 5))
    with pytest.raises(ValueError, match=re.escape("[15]=15 must lie in [0, 15)")):
        F.apply_position_bias(bias, params, range(16), range(15))
