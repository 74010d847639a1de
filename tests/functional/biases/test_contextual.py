"""Contextual positions (CoPE) against sums of gates, pair by pair."""

import jax
import jax.numpy as jnp
import numpy as np
import paper_bias_oracles as oracles
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused

import attnax.functional as F

apply = jitted(F.apply_contextual_position_bias)


def inputs(num_positions=6, seed=0):
    """Parameters, queries, keys, and a causal mask with holes."""
    rng = np.random.default_rng(seed)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    params = F.ContextualPositionBiasParams(normal(num_positions, 8))
    mask = np.tril(np.ones((7, 30), bool), 23) & (rng.random((2, 1, 30)) > 0.2)
    return params, normal(2, 7, 4, 8), normal(2, 30, 2, 8), mask


def expected(params, q, k, mask, *, scale=8**-0.5, factor=1.0):
    k = np.repeat(k, q.shape[2] // k.shape[2], 2)
    return oracles.cope(q, k, params.embedding, mask, scale=scale, factor=factor)


# Positions below the last one, and most of them beyond it.
@pytest.mark.parametrize("num_positions", (40, 6, 1))
def test_it_is_the_listing(num_positions):
    arguments = inputs(num_positions)
    actual = apply(*arguments)
    # Thirty gates are added up, and the slope between two rows is of the size of both.
    magnitude = np.abs(expected(*arguments)).max()
    assert_close(actual, expected(*arguments), magnitude=magnitude, roundings=16)


def test_the_released_code_adds_before_the_scaling():
    arguments = inputs()
    actual = apply(*arguments, scale=0.3, factor=8**-0.5)
    want = expected(*arguments, scale=0.3, factor=8**-0.5)
    assert_close(actual, want, magnitude=np.abs(want).max(), roundings=16)


def test_hidden_keys_do_not_count():
    """Places of a cache that are not filled, padding and other documents."""
    params, q, k, mask = inputs()
    other = np.where(mask.any(1)[:, :, None, None], k, np.float32(1e3))
    assert_same_bits(apply(params, q, other, mask), apply(params, q, k, mask))


def test_a_step_with_a_cache_is_the_row_of_the_whole():
    params, q, k, mask = inputs()
    whole = np.asarray(apply(params, q, k, mask))
    step = apply(params, q[:, 3:4], k, mask[:, 3:4])
    # The order in which gates and products are added up depends on the shape.
    assert_close(step, whole[:, :, 3:4], magnitude=np.abs(whole).max(), roundings=16)


def test_batch_axes_broadcast_and_are_vmap():
    params, q, k, mask = inputs()
    mapped = jax.jit(jax.vmap(F.apply_contextual_position_bias, (None, 0, 0, 0)))
    whole = np.asarray(apply(params, q, k, mask))
    size = {"magnitude": np.abs(whole).max(), "roundings": 16}
    assert_close(mapped(params, q, k, mask), whole, **size)
    mixed = apply(params, q[0], k, mask)
    assert_close(mixed[0], whole[0], **size)
    shared = apply(params, q, k[0], mask[0])
    assert_close(shared[0], whole[0], **size)
    wanted = expected(params, q[1:], k[:1], mask[:1])
    assert_close(shared[1], wanted[0], **size)


def test_sixteen_bits_are_computed_in_float32_and_rounded_once():
    params, q, k, mask = inputs()
    narrow = jax.tree.map(lambda t: t.astype(jnp.bfloat16), (params, q, k))
    wide = jax.tree.map(lambda t: t.astype(np.float32), narrow)
    assert_same_bits(apply(*narrow, mask), apply(*wide, mask))
    rounded = apply(*narrow, mask, dtype="bfloat16")
    assert_same_bits(rounded, np.asarray(apply(*wide, mask)).astype(rounded.dtype))


def test_gradients_are_those_of_float64():
    arguments = params, q, k, mask = inputs(40)
    weights = np.random.default_rng(1).normal(size=(2, 4, 7, 30)).astype(np.float32)

    @jax.jit
    @jax.grad
    def gradient(arrays):
        biases = F.apply_contextual_position_bias(*arrays, mask)
        return (weights * biases).sum()

    actual = jax.tree.leaves(gradient((params, q, k)))
    arrays = [np.asarray(t, np.float64) for t in (params.embedding, q, k)]
    for n, index in ((0, (3, 2)), (1, (0, 5, 3, 1)), (2, (1, 4, 1, 6))):
        sides = []
        for step in (1e-6, -1e-6):
            moved = [t.copy() for t in arrays]
            moved[n][index] += step
            moved[0] = F.ContextualPositionBiasParams(moved[0])
            sides.append((weights * expected(*moved, arguments[3])).sum())
        slope = (sides[0] - sides[1]) / 2e-6
        # Products and sums of a few hundred numbers of order one.
        assert abs(float(np.asarray(actual[n])[index]) - slope) < 2e-4


@pytest.mark.parametrize("gate, slope", [(50.0, 4.0), (0.0, 4.0)])
def test_a_whole_position_has_the_slope_above_it(gate, slope):
    """With the ceiling in place of the next row, as in the listing, it would be 0."""
    # The key at the end has the gate 1 or 1/2, and rows 1, 5 and 9 are on one line.
    params = F.ContextualPositionBiasParams(np.array([[1.0], [5.0], [9.0]], np.float32))
    k, mask = np.zeros((1, 1, 1), np.float32), np.ones((1, 1), bool)
    from attnax.functional._biases.queries.contextual import _between

    at = jax.nn.sigmoid(jnp.full((1, 1, 1), gate))
    rows = jnp.asarray(params.embedding.T[None])
    assert float(jax.grad(lambda p: _between(rows, p).sum())(at)[0, 0, 0]) == slope
    biases = F.apply_contextual_position_bias(
        params, np.ones((1, 1, 1), np.float32), k, mask
    )
    assert float(biases[0, 0, 0]) == 3.0


def test_parameters_begin_at_zero():
    params = F.init_contextual_position_bias(jax.random.key(0), 6, 8)
    assert params.embedding.shape == (6, 8) and not params.embedding.any()
    drawn = F.init_contextual_position_bias(jax.random.key(0), 60, 8, init_std=0.1)
    assert 0.05 < float(drawn.embedding.std()) < 0.2


@pytest.mark.errors
def test_bad_arguments_are_refused():
    params, q, k, mask = inputs()
    call = F.apply_contextual_position_bias
    with refused("mask.dtype=float32 must be bool"):
        call(params, q, k, mask.astype(np.float32))
    with refused(r"mask.shape=\(2, 7, 29\) must end in \(7, 30"):
        call(params, q, k, mask[..., :29])
    with refused("must have a number of heads that divides"):
        call(params, q, np.ones((2, 30, 3, 8), np.float32), mask)
    with refused(r"k.shape=\(2, 30, 2, 7\) must end in the wid"):
        call(params, q, k[..., :7], mask)
    with refused("must broadcast"):
        call(params, q, k[[0, 1, 0]], mask)
    with refused("num_positions=0 must be a positive integer"):
        F.init_contextual_position_bias(jax.random.key(0), 0, 8)
