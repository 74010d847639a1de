"""Inputs of biases that read queries and keys, and the forms of such a bias."""

import jax.numpy as jnp
import numpy as np
from helpers import jitted

import attnax.functional as F


def normal(seed, *shape):
    """Normal numbers in float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# Ranges are known while tracing, and arrays are traced.
matrix = jitted(F.apply_position_bias)


@jitted
def by_score_mod(bias, params, q_positions, k_positions, *, shape, q=None, k=None):
    """The bias of every pair from a function of the scores."""
    add = F.position_bias_score_mod(bias, params, q_positions, k_positions, q=q, k=k)
    return add(jnp.zeros(shape), *jnp.indices(shape, sparse=True))


def forms(bias, params, q_positions, k_positions, *, batch, **content):
    """The matrix of known positions and of traced ones, and from the scores."""
    arrays = np.array(q_positions), np.array(k_positions)
    shape = (batch, bias.num_heads, len(q_positions), len(k_positions))
    yield matrix(bias, params, q_positions, k_positions, **content)
    yield matrix(bias, params, *arrays, **content)
    yield by_score_mod(bias, params, *arrays, shape=shape, **content)


def rows_of(q_positions, k_positions, row):
    """The row of each pair, by an oracle of one pair."""
    return np.array([[row(i, j) for j in k_positions] for i in q_positions])
