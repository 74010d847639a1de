"""Tables of biases: rows looked up, and gradients added up in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from bias_laws import sums_by_row
from helpers import assert_same_bits, jitted, slow

import attnax.functional as F
from attnax.functional._biases.core.table import biases_at

KEY = jax.random.key(0)
MANY = 4096  # queries and keys


def gradient(bias, params, cotangent, q_positions, k_positions):
    """The gradient of a table for a cotangent of the whole bias."""
    of_params = lambda p: F.apply_position_bias(bias, p, q_positions, k_positions)
    return jax.vjp(of_params, params)[1](cotangent)[0].table


gradient = jitted(gradient)


def table_of(bias, dtype=np.float32):
    table = np.random.default_rng(0).normal(size=(bias.num_buckets, bias.num_heads))
    return F.TableBiasParams(table.astype(dtype))


def rows_of(bias, count):
    """The row of every pair of `count` queries and keys."""
    buckets = F.relative_position_bucket(
        np.arange(1 - count, count),
        num_buckets=bias.num_buckets,
        max_distance=bias.max_distance,
        bidirectional=bias.bidirectional,
    )
    places = np.arange(count)
    return buckets[places - places[:, None] + count - 1]


@pytest.mark.parametrize("positions", ("known", "traced"))
@pytest.mark.parametrize("values", ("drawn", 0.01, *slow(0.7, 1.3)))
def test_sums_of_16_million_are_within_a_millionth(values, positions):
    """Of the sum of the magnitudes, as float64 has it."""
    bias = F.T5Bias(1, bidirectional=True)
    shape = (1, MANY, MANY)
    if values == "drawn":
        cotangent = np.random.default_rng(1).standard_normal(shape, np.float32)
    else:
        cotangent = np.full(shape, values, np.float32)
    of = range(MANY) if positions == "known" else np.arange(MANY, dtype=np.int32)
    got = np.asarray(gradient(bias, table_of(bias), cotangent, of, of), np.float64)
    want, size = sums_by_row(rows_of(bias, MANY), cotangent, 32)
    assert (np.abs(got - want) <= 1e-6 * size).all()


@pytest.mark.parametrize("positions", ("known", "traced"))
def test_a_bfloat16_table_gets_the_float32_sum_rounded_once(positions):
    """Added up in bfloat16, a sum of equal numbers would stop at 256 of them."""
    bias, count = F.T5Bias(2, bidirectional=True), 512
    of = range(count) if positions == "known" else np.arange(count, dtype=np.int32)
    cotangent = np.full((2, count, count), 0.01, np.float32)
    cotangent[1] = np.random.default_rng(0).normal(size=(count, count))
    wide = table_of(bias)
    narrow = F.TableBiasParams(wide.table.astype(jnp.bfloat16))
    of_wide = gradient(bias, wide, cotangent, of, of)
    of_narrow = gradient(bias, narrow, cotangent, of, of)
    assert_same_bits(of_narrow, np.asarray(of_wide).astype(jnp.bfloat16))
    want, _ = sums_by_row(rows_of(bias, count), cotangent, 32)
    assert want[15, 0] > 700
    np.testing.assert_allclose(of_wide[:, 0], want[:, 0], rtol=1e-6)


# Rows of the table, and pairs: none, one, more than a block, and many rows.
SIZES = ((1, 5), (3, 0), (7, 1), (32, 1000), (33, 40_001), (320, 70_000), (5000, 999))


@pytest.mark.parametrize("num_rows, num_pairs", SIZES)
def test_rows_and_sums_of_every_size(num_rows, num_pairs):
    rng = np.random.default_rng(0)
    table = rng.normal(size=(num_rows, 2)).astype(np.float32)
    rows = rng.integers(0, num_rows, num_pairs).astype(np.int32)
    cotangent = rng.normal(size=(2, num_pairs)).astype(np.float32)
    out, sums = jax.jit(
        lambda t, g: (lambda out, back: (out, *back(g)))(
            *jax.vjp(lambda t: biases_at(t, rows), t)
        )
    )(table, cotangent)
    assert_same_bits(out, table[rows].T)
    want, size = sums_by_row(rows, cotangent, num_rows)
    assert (np.abs(np.asarray(sums, np.float64) - want) <= 1e-6 * size).all()
    untouched = np.bincount(rows, minlength=num_rows) == 0
    assert not np.asarray(sums)[untouched].any()


def test_tangents_are_the_biases_of_a_tangent():
    bias = F.T5Bias(2, 8, 16, bidirectional=True)
    params, other = table_of(bias), jax.tree.map(lambda x: x[::-1], table_of(bias))
    for positions in (range(9), np.arange(9, dtype=np.int32)):
        of = lambda p, positions=positions: F.apply_position_bias(
            bias, p, positions, positions
        )
        out, tangent = jax.jit(lambda p, t, of=of: jax.jvp(of, (p,), (t,)))(
            params, other
        )
        assert_same_bits(out, jax.jit(of)(params))
        assert_same_bits(tangent, jax.jit(of)(other))


def test_gradients_under_vmap_scan_and_remat():
    """Three tables: as a batch, in a loop over layers, and computed again."""
    bias = F.T5Bias(2, 8, 16, bidirectional=True)
    rng = np.random.default_rng(0)
    tables = rng.normal(size=(3, 8, 2)).astype(np.float32)
    weights = rng.normal(size=(2, 9, 9)).astype(np.float32)
    for positions in (range(9), np.arange(9, dtype=np.int32)):

        def loss(table, positions=positions):
            params = F.TableBiasParams(table)
            made = F.apply_position_bias(bias, params, positions, positions)
            return jnp.sum(jnp.tanh(made) * weights)

        def looped(tables, loss=loss):
            step = lambda total, layer: (total + jax.checkpoint(loss)(layer), None)
            return jax.lax.scan(step, jnp.float32(0.0), tables)[0]

        one_by_one = np.stack([jax.jit(jax.grad(loss))(table) for table in tables])
        mapped = jax.jit(jax.vmap(jax.grad(loss)))(tables)
        scanned = jax.jit(jax.grad(looped))(tables)
        # Sums of 81 numbers of size 4 at most.
        np.testing.assert_allclose(mapped, one_by_one, rtol=0, atol=2e-5)
        np.testing.assert_allclose(scanned, one_by_one, rtol=0, atol=2e-5)
        assert np.abs(one_by_one).max() > 1


def test_all_batches_add_to_one_table():
    bias = F.T5Bias(2, 8, 16, bidirectional=False)
    rng = np.random.default_rng(0)
    positions = rng.integers(0, 30, (3, 7)).astype(np.int32)
    cotangent = rng.normal(size=(3, 2, 7, 7)).astype(np.float32)
    got = gradient(bias, table_of(bias), cotangent, positions, positions)
    distances = positions[:, None, :] - positions[:, :, None]
    rows = F.relative_position_bucket(
        distances, num_buckets=8, max_distance=16, bidirectional=False
    )
    want, size = sums_by_row(rows, cotangent.swapaxes(0, 1), 8)
    assert (np.abs(np.asarray(got, np.float64) - want) <= 1e-6 * size).all()


def test_the_factor_is_on_the_gradient_too():
    rng = np.random.default_rng(0)
    cotangent = rng.normal(size=(2, 9, 9)).astype(np.float32)
    plain, half = (
        F.T5Bias(2, 8, 16, bidirectional=True, factor=factor) for factor in (1.0, 0.5)
    )
    of_plain = gradient(plain, table_of(plain), cotangent, range(9), range(9))
    of_half = gradient(half, table_of(half), cotangent, range(9), range(9))
    assert_same_bits(of_half, np.asarray(of_plain) / np.float32(2))


def test_second_derivatives_pass_through():
    """A table is linear in its numbers, so that only the loss bends."""
    bias = F.T5Bias(1, 8, 16, bidirectional=True)
    params = table_of(bias)
    square = lambda p: jnp.sum(F.apply_position_bias(bias, p, range(5), range(5)) ** 2)
    product = jax.jvp(jax.grad(square), (params,), (params,))[1]
    np.testing.assert_allclose(product.table, jax.grad(square)(params).table, rtol=1e-6)
