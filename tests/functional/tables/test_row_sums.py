"""Sums of rows by index: against float64, and the slots that hold them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted
from hypothesis import given
from hypothesis import strategies as st

from attnax.functional._tables.row_sums import sum_by_row

sums = jitted(sum_by_row)


def oracle(indices, rows, num_rows):
    """Sums in float64, the sums of magnitudes and counts, by row of the table."""
    rows = np.asarray(rows, np.float64).reshape(indices.size, -1)
    inside = (indices.ravel() >= 0) & (indices.ravel() < num_rows)
    chosen = indices.ravel()[inside]
    total, size = np.zeros((2, num_rows, rows.shape[1]))
    np.add.at(total, chosen, rows[inside])
    np.add.at(size, chosen, np.abs(rows[inside]))
    return total, size, np.bincount(chosen, minlength=num_rows)


def assert_sums(indices, rows, num_rows):
    row_ids, actual = sums(indices, rows, num_rows)
    total, size, counts = oracle(indices, rows, num_rows)
    distinct = np.flatnonzero(counts)
    assert row_ids.dtype == jnp.int32
    assert row_ids.shape == actual.shape[:1] == (min(indices.size, num_rows),)
    padding = np.full(len(row_ids) - len(distinct), num_rows)
    np.testing.assert_array_equal(row_ids, np.concatenate([distinct, padding]))
    actual = np.asarray(actual, np.float64)
    np.testing.assert_array_equal(actual[len(distinct) :], 0.0)
    # Any order of n - 1 additions in float32.
    bound = (counts[distinct, None] - 1) * 2.0**-24 * size[distinct]
    error = np.abs(
        actual.reshape(-1, total.shape[1])[: len(distinct)] - total[distinct]
    )
    assert (error <= bound).all()


SIZES = ((7, 3, 5), (7, 1, 1), (1, 4, 3), (300, 40, 2), (300, 2000, 2))


@given(data=st.data(), dtype=ax.dtypes, size=st.sampled_from(SIZES))
def test_sums_of_distinct_indices_ascending(data, dtype, size):
    count, num_rows, width = size
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    indices = rng.integers(-1, num_rows + 1, count).astype(np.int32)
    rows = rng.normal(size=(count, width)).astype(dtype)
    assert_sums(indices, rows, num_rows)


def test_indices_of_any_shape_and_rows_of_any_shape():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 5, (2, 3)).astype(np.int32)
    assert_sums(indices, rng.normal(size=(2, 3, 4, 2)).astype(np.float32), 5)
    assert_sums(indices, rng.normal(size=(2, 3)).astype(np.float32), 5)


@pytest.mark.parametrize("shape", ((0, 3), (4, 0)))
def test_nothing_to_add(shape):
    indices, rows = np.zeros(shape[:1], np.int32), np.zeros(shape, np.float32)
    row_ids, actual = sums(indices, rows, 6)
    assert row_ids.shape == (shape[0],)
    assert actual.shape == shape


def test_what_is_not_finite_stays_in_its_row():
    indices = np.array([3, -1, 0, 3, 9, 0, 1, 2], np.int32)
    rows = np.ones((8, 2), np.float32)
    rows[[1, 4]] = np.nan  # dropped
    rows[0], rows[6] = np.inf, np.nan
    row_ids, actual = sums(indices, rows, 4)
    np.testing.assert_array_equal(row_ids, [0, 1, 2, 3])
    np.testing.assert_array_equal(actual[:, 0], [2.0, np.nan, 1.0, np.inf])


def test_batch_equals_vmap():
    rng = np.random.default_rng(1)
    indices = rng.integers(-1, 6, (3, 40)).astype(np.int32)
    rows = rng.normal(size=(3, 40, 2)).astype(np.float32)
    mapped = jax.jit(jax.vmap(lambda i, r: sum_by_row(i, r, 6)))(indices, rows)
    for index in range(3):
        one = sums(indices[index], rows[index], 6)
        for actual, expected in zip(mapped, one, strict=True):
            assert_same_bits(actual[index], expected)
