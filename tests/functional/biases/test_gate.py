"""Gates of the hidden state on a position bias."""

import bucket_bias_oracles as oracles
import jax
import jax.numpy as jnp
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
from helpers import assert_close, jitted
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

import attnax.functional as F

HEADS, WIDTH = 3, 4
TABLE = F.T5Bias(HEADS, 8, 6, bidirectional=True)
BIAS = F.GatedBias(TABLE, WIDTH)
HIDDEN = np.random.default_rng(0).normal(size=(2, LENGTH, HEADS, WIDTH)).astype("f")
TOKENS = {"q": HIDDEN[0]}
# Parts of a batch are multiplied in another order; gates and biases are below 4.
CLOSE = {"rtol": 0, "atol": 64 * 2.0**-24}


def close(actual, expected):
    np.testing.assert_allclose(actual, expected, **CLOSE)


def params_of(seed=0):
    """Parameters whose offsets and scales differ from the first ones."""
    params, rng = drawn(BIAS, seed), np.random.default_rng(seed)
    gate = params.gate._replace(
        bias=rng.normal(size=8).astype("f"), scale=rng.normal(size=HEADS).astype("f")
    )
    return params._replace(gate=gate)


def expected_of(params, hidden, bias):
    gate = params.gate
    hidden = hidden.reshape(*hidden.shape[:2], -1)
    return oracles.gated_bias(bias, hidden, gate.weight.T, gate.bias, gate.scale)


def test_each_query_and_head_has_a_gate():
    params, q, k = params_of(), range(4, LENGTH), range(LENGTH)
    bias = oracles.t5_bias(params.bias.table, q, k, 6, True)
    actual = matrix(BIAS, params, q, k, q=HIDDEN[:, 4:])
    expected = expected_of(params, HIDDEN[:, 4:], bias)
    # Sums of 16 products below 8 pass a sigmoid, whose slope is at most 1/4.
    assert_close(actual, expected, magnitude=np.abs(expected).max(), roundings=16)


def test_layers_share_a_bias_and_have_a_gate_each():  # CTranslate2#1335
    at = np.arange(LENGTH)
    shared = matrix(TABLE, params_of().bias, at, at)
    for seed in (0, 1):
        params = params_of(seed)._replace(bias=params_of().bias)
        gate = jitted(F.apply_bias_gate)(params.gate, HIDDEN[0])
        assert gate.shape == (HEADS, LENGTH, 1) and gate.dtype == np.float32
        close(gate * shared, matrix(BIAS, params, at, at, **TOKENS))


def test_drawn_gates_without_a_weight_are_one_and_three_quarters():
    params = F.init_bias_gate(jax.random.key(0), HEADS, WIDTH, init_std=0.0)
    gate = jitted(F.apply_bias_gate)(params, HIDDEN)
    np.testing.assert_array_equal(gate, np.full((2, HEADS, LENGTH, 1), 1.75))


def test_a_drawn_gate_has_the_dtype_and_the_deviation():
    params = F.init_bias_gate(jax.random.key(0), 2, 500, init_std=0.5, dtype="bfloat16")
    assert {leaf.dtype for leaf in params} == {jnp.dtype("bfloat16")}
    # Four deviations of the deviation of 4000 numbers.
    assert abs(np.std(np.asarray(params.weight, np.float32)) - 0.5) < 2 / 4000**0.5


def test_a_step_padding_and_packing_leave_the_bias_as_it_is():
    check_parts(BIAS, params_of(), TOKENS, same=close)


def test_the_function_of_scores_is_the_matrix():
    check_score_mod(BIAS, params_of(), TOKENS, same=close)


def test_bfloat16_is_float32_rounded_once():
    check_low_precision(BIAS, params_of(), TOKENS)


def test_gradients_of_gate_table_and_hidden_states():
    at = np.arange(LENGTH)
    weights = np.random.default_rng(1).normal(size=(HEADS, LENGTH, LENGTH)).astype("f")

    def of_sum(params, x):
        return (weights * F.apply_position_bias(BIAS, params, at, at, q=x)).sum()

    def in_float64(params, x):
        bias = oracles.t5_bias(params.bias.table, at, at, 6, True)
        return (weights * expected_of(params, x[None], bias)).sum()

    point = params_of(), HIDDEN[0]
    leaves, structure = jax.tree.flatten(point)
    slopes = jax.tree.leaves(jax.jit(jax.grad(of_sum, (0, 1)))(*point))
    for n, (leaf, slope) in enumerate(zip(leaves, slopes, strict=True)):
        step = np.zeros(np.shape(leaf))
        step.flat[0] = 1e-5
        ends = []
        for sign in (-1, 1):
            moved = np.asarray(leaf, np.float64) + sign * step
            moved = jax.tree.unflatten(
                structure, [*leaves[:n], moved, *leaves[n + 1 :]]
            )
            ends.append(in_float64(*moved))
        # 500 terms below 16, summed in float32; the quotient is off by 1e-9.
        assert abs((ends[1] - ends[0]) / 2e-5 - float(slope.flatten()[0])) < 1e-3


def test_gates_stay_on_their_devices():
    mesh = jax.make_mesh((2,), ("batch",), axis_types=(AxisType.Explicit,))
    gate = params_of().gate
    with jax.set_mesh(mesh):
        gates = F.apply_bias_gate(gate, jax.device_put(HIDDEN, P("batch")))
        assert jax.typeof(gates).sharding.spec == P("batch", None, None, None)
    close(gates, F.apply_bias_gate(gate, HIDDEN))


@pytest.mark.errors
def test_records_that_do_not_fit():
    with pytest.raises(ValueError, match=r"bias=GatedBias.* must read positions alone"):
        F.GatedBias(BIAS, WIDTH)
    with pytest.raises(ValueError, match="head_dim=0 must be a positive integer"):
        F.GatedBias(TABLE, 0)
    with pytest.raises(Exception, match=r"record of a position bias|Type-check"):
        F.GatedBias("T5", 4)


@pytest.mark.errors
def test_parameters_of_another_size():
    params = params_of()
    wrong = params._replace(gate=params.gate._replace(scale=np.ones(2, np.float32)))
    with pytest.raises(
        ValueError, match=r"params.gate.scale.shape=\(2,\) must be \(3,"
    ):
        F.apply_position_bias(BIAS, wrong, range(3), range(3), q=HIDDEN[0, :3])
    with pytest.raises(
        ValueError, match=r"params.weight.shape=\(4, 8\) must be \(5, 8"
    ):
        F.apply_bias_gate(params.gate, np.ones((2, HEADS, 5), np.float32))
    wrong = params._replace(bias=F.TableBiasParams(np.ones((5, 2), np.float32)))
    with pytest.raises(ValueError, match=r"params.bias.table.shape=\(5, 2\) must be"):
        F.apply_position_bias(BIAS, wrong, range(3), range(3), q=HIDDEN[0, :3])
    with pytest.raises(ValueError, match=r"params is .* but must be .*GatedBiasParams"):
        F.apply_position_bias(BIAS, tuple(params), range(3), range(3), q=HIDDEN[0, :3])
