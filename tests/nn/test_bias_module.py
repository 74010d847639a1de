"""The module of a position bias: a record, its parameters, and the function."""

import copy
import pickle

import bias_cases
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, refused

import attnax.functional as F
from attnax import nn

KEY = jax.random.key(0)
T5 = F.T5Bias(3, bidirectional=True)
QUICK = ("AlibiBias", "RelativeKeyBias", "T5Bias", "WindowBias")


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in bias_cases.RECORDS
    ],
)
def test_the_module_is_the_function(name):
    case = bias_cases.case(name)
    module = nn.RelativePositionBias.from_params(case.bias, case.params)
    positions = case.q_positions, case.k_positions
    made = eqx.filter_jit(lambda module: module(*positions, **case.content))(module)
    assert made.dtype == jnp.float32
    expected = bias_cases.whole(case)
    magnitude = 1 + np.abs(expected).max()
    # Sums of products of few numbers, in programs whose constants differ.
    np.testing.assert_allclose(made, expected, rtol=0, atol=2.0**-20 * magnitude)
    leaves = jax.tree.leaves(eqx.filter(module, eqx.is_array))
    assert len(leaves) == len(jax.tree.leaves(case.params))


def test_drawn_parameters_are_those_of_the_function():
    module = nn.RelativePositionBias(T5, init_std=0.5, dtype=jnp.bfloat16, key=KEY)
    params = F.init_position_bias(KEY, T5, init_std=0.5, dtype=jnp.bfloat16)
    assert_same_bits(module.params.table, params.table)
    assert module.bias is T5


def test_options_pass_through_and_a_key_is_ignored():
    module = nn.RelativePositionBias(T5, key=KEY)
    bias = module(range(3), range(4), dtype=jnp.bfloat16, key=KEY)
    assert bias.dtype == jnp.bfloat16 and bias.shape == (3, 3, 4)
    assert_same_bits(bias, module(range(3), range(4), dtype=jnp.bfloat16))


def test_modules_of_other_settings_differ():
    encoder = nn.RelativePositionBias(T5, init_std=1.0, key=KEY)
    other = F.T5Bias(3, bidirectional=False)
    decoder = nn.RelativePositionBias.from_params(other, encoder.params)
    positions = range(4), range(4)
    assert not np.array_equal(encoder(*positions), decoder(*positions))


def test_a_module_is_trained_copied_and_pickled():
    module = nn.RelativePositionBias(T5, key=KEY)
    gradient = eqx.filter_grad(lambda m: m(range(4), range(4)).sum())(module)
    assert float(gradient.params.table.sum()) == 3 * 16
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert other.bias == T5
        assert_same_bits(other.params.table, module.params.table)


def test_a_scheme_without_parameters_has_no_leaves():
    module = nn.RelativePositionBias(F.AlibiBias(3), key=KEY)
    assert jax.tree.leaves(module) == []


@pytest.mark.errors
def test_parameters_of_another_record_are_refused():
    with refused(r"RelativePositionBias.from_params: params.table.shape=\(8, 3\)"):
        nn.RelativePositionBias.from_params(
            T5, F.TableBiasParams(np.ones((8, 3), np.float32))
        )
    with refused("RelativePositionBias: init_std=-1.0 must"):
        nn.RelativePositionBias(T5, init_std=-1.0, key=KEY)
