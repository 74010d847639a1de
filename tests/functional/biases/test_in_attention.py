"""The matrix in `jax.nn.dot_product_attention`, where biases have been lost or refused.

The reports are jax#30593 and jax#27184 (no gradient of a bias), jax#28974 (axes of 1
refused) and jax#36702 (a bias that heads share fails under `vmap`).
"""

import attention_oracles as oracles
import jax
import jax.numpy as jnp
import numpy as np
from helpers import assert_close

import attnax.functional as F

BATCH, Q_LEN, K_LEN, HEADS, KV_HEADS, WIDTH = 2, 3, 5, 4, 2, 6
BIAS = F.T5Bias(HEADS, 8, 20, bidirectional=True)
POSITIONS = range(2, 2 + Q_LEN), range(K_LEN)


def inputs():
    rng = np.random.default_rng(0)
    shapes = (
        (BATCH, Q_LEN, HEADS, WIDTH),
        *[(BATCH, K_LEN, KV_HEADS, WIDTH)] * 2,
        (8, HEADS),
    )
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def attend(q, k, v, table):
    params = F.TableBiasParams(table=table)
    bias = F.apply_position_bias(BIAS, params, *POSITIONS)
    return jax.nn.dot_product_attention(q, k, v, bias=bias[None])


def weights_of(q, k, table):
    """Attention weights in float64, and the row of each pair."""
    distance = np.subtract.outer(*POSITIONS[::-1]).T
    rows = np.asarray(
        F.relative_position_bucket(
            distance, num_buckets=8, max_distance=20, bidirectional=True
        )
    )
    bias = np.moveaxis(np.float64(table)[rows], -1, 0)
    return oracles.weights(q, k, bias, scale=WIDTH**-0.5), rows


def test_grouped_queries_have_the_bias_of_their_own_head():
    q, k, v, table = inputs()
    weights, _ = weights_of(q, k, table)
    v = np.repeat(v, HEADS // KV_HEADS, 2)
    expected = np.einsum("bhqk,bkhc->bqhc", weights, np.float64(v))
    # Scores below 16 round in float32.
    actual = jax.jit(attend)(*inputs())
    assert_close(actual, expected, magnitude=16 * np.abs(v).max())


def test_a_table_gets_its_gradient_from_every_sequence_of_a_batch():
    q, k, v, table = inputs()
    cotangent = np.random.default_rng(1).standard_normal(q.shape).astype(np.float32)

    def loss(table):
        return (cotangent * attend(q, k, v, table)).sum()

    weights, rows = weights_of(q, k, table)
    values = np.repeat(np.float64(v), HEADS // KV_HEADS, 2)
    of_weights = np.einsum("bqhc,bkhc->bhqk", np.float64(cotangent), values)
    mean = (weights * of_weights).sum(-1, keepdims=True)
    of_scores = (weights * (of_weights - mean)).sum(0)
    expected = np.zeros(table.shape)
    np.add.at(expected, rows, np.moveaxis(of_scores, 0, -1))
    actual = jax.jit(jax.grad(loss))(table)
    # Sums of at most 30 numbers below 10, each with the error of scores below 16.
    assert_close(actual, expected, magnitude=30 * 10.0)


def test_a_bias_that_a_batch_shares_works_under_vmap():
    q, k, v, table = inputs()
    bias = F.apply_position_bias(BIAS, F.TableBiasParams(table=table), *POSITIONS)

    def one(q, k, v):
        return jax.nn.dot_product_attention(q, k, v, bias=bias)

    each = jax.jit(jax.vmap(one))(q, k, v)
    # A batch is multiplied in another order than its sequences.
    whole = jax.jit(attend)(q, k, v, table)
    assert_close(each, whole, magnitude=16 * np.abs(v).max())


def test_the_bias_of_one_query_or_one_key_broadcasts():
    """The key form has one row for all queries, whose axis may be 1 in XLA."""
    q, k, v, _ = inputs()
    bias = F.AlibiBias(HEADS, form="key")
    matrix = F.apply_position_bias(bias, None, *POSITIONS)[None]

    def both(q, k, v):
        attend = jax.nn.dot_product_attention
        return attend(q, k, v, bias=matrix), attend(q, k, v, bias=matrix[..., :1, :])

    whole, row = jax.jit(both)(*map(jnp.asarray, (q, k, v)))
    np.testing.assert_array_equal(row, whole)
