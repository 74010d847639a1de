"""Rows that a loss does not train."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

WEIGHT = np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32)
IDS = np.array([[0, 6, 7], [5, 5, 1]], np.int32)
MASK = np.arange(8) % 3 == 0


@jitted
def gradient(weight, frozen):
    """That of a loss which looks rows up and multiplies by all of them."""

    def loss(weight):
        if frozen is not None:
            weight = F.freeze_rows(weight, frozen)
        params = F.TokenEmbeddingParams(weight=weight)
        x = F.apply_token_embedding(params, IDS)
        return jnp.sum(jnp.cos(F.apply_token_unembedding(params, x)))

    return jax.grad(loss)(weight)


@pytest.mark.parametrize("frozen", (0, 6, 8, MASK), ids=str)
def test_frozen_rows_have_no_gradient_and_others_all_of_it(frozen):
    expected = np.array(gradient(WEIGHT, None))
    expected[frozen if np.ndim(frozen) else slice(frozen)] = 0.0
    np.testing.assert_array_equal(gradient(WEIGHT, frozen), expected)


def test_values_stay_and_nothing_is_copied():
    assert_same_bits(F.freeze_rows(WEIGHT, 3), WEIGHT)
    program = jax.jit(lambda w: F.freeze_rows(w, 3)).lower(WEIGHT).as_text()
    assert "select" not in program


def test_forward_mode_vmap_and_a_bias():
    bias = WEIGHT[:, 0]
    tangent = jax.jvp(lambda b: F.freeze_rows(b, 5), (bias,), (bias,))[1]
    np.testing.assert_array_equal(tangent, np.where(np.arange(8) < 5, 0.0, bias))
    total = lambda w: F.freeze_rows(w, MASK).sum()
    several = jax.vmap(jax.grad(total))(np.stack([WEIGHT, -WEIGHT]))
    np.testing.assert_array_equal(several[1, :, 0], ~MASK)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("frozen", (6, MASK), ids=str)
def test_sharded(axis_type, frozen):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    of = jitted(jax.grad(lambda w, frozen: jnp.sum(F.freeze_rows(w, frozen) ** 2)))
    expected = of(WEIGHT, frozen)
    with jax.set_mesh(mesh):
        weight = jax.device_put(WEIGHT, NamedSharding(mesh, P("a", "b")))
        if np.ndim(frozen):
            frozen = jax.device_put(frozen, NamedSharding(mesh, P()))
        actual = of(weight, frozen)
        assert actual.sharding.is_equivalent_to(weight.sharding, 2)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.errors
def test_what_is_frozen_is_checked():
    weight = host.ones((8, 4))
    with refused("frozen=-1 must be an integer of at least 0"):
        F.freeze_rows(weight, -1)
    with refused(r"frozen=9 must be at most 8, the rows of weight.shape=\(8, 4\)"):
        F.freeze_rows(weight, 9)
    with refused(r"frozen.shape=\(4,\) must be \(8,\), one for each row"):
        F.freeze_rows(weight, np.zeros(4, bool))
    with refused("frozen.dtype=float32 must be bool or integer"):
        F.freeze_rows(weight, np.zeros(8, np.float32))
    with refused(r"weight.shape=\(\) must be \(..., num_rows\)"):
        F.freeze_rows(host.ones(()), 0)
