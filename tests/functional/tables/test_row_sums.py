"""Sums of rows by index, in both forms: against float64, and the slots of each."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted
from hypothesis import given
from hypothesis import strategies as st

from attnax.functional._tables import row_sums
from attnax.functional._tables.row_sums import sum_by_row

FORMS = row_sums.sums_in_turn, row_sums.sums_in_pieces
forms = pytest.mark.parametrize("form", FORMS, ids=("in turn", "in pieces"))
slots = jitted(sum_by_row)


@jitted
def by_slot(form, indices, rows, num_rows):
    ids, rows = row_sums.flattened(indices, rows, num_rows)
    return row_sums.by_slot(form, ids, rows, num_rows)


def oracle(indices, rows, num_rows):
    """Sums in float64, the sums of magnitudes and counts, by row of the table."""
    rows = np.asarray(rows, np.float64).reshape(indices.size, -1)
    inside = (indices.ravel() >= 0) & (indices.ravel() < num_rows)
    chosen = indices.ravel()[inside]
    total, size = np.zeros((2, num_rows, rows.shape[1]))
    np.add.at(total, chosen, rows[inside])
    np.add.at(size, chosen, np.abs(rows[inside]))
    return total, size, np.bincount(chosen, minlength=num_rows)


def assert_sums(form, indices, rows, num_rows):
    row_ids, actual = by_slot(form, indices, rows, num_rows)
    total, size, counts = oracle(indices, rows, num_rows)
    distinct = np.flatnonzero(counts)
    assert row_ids.dtype == jnp.int32
    assert row_ids.shape == actual.shape[:1] == (min(indices.size, num_rows),)
    padding = np.full(len(row_ids) - len(distinct), num_rows)
    np.testing.assert_array_equal(row_ids, np.concatenate([distinct, padding]))
    actual = np.asarray(actual, np.float64).reshape(-1, total.shape[1])
    np.testing.assert_array_equal(actual[len(distinct) :], 0.0)
    # Any order of n - 1 additions in float32.
    bound = (counts[distinct, None] - 1) * 2.0**-24 * size[distinct]
    assert (np.abs(actual[: len(distinct)] - total[distinct]) <= bound).all()


# Of 300 indices in 2 rows, runs take three levels of pieces.
SIZES = ((1, 4, 3), (9, 1, 2), (300, 2, 2), (300, 2000, 2))


@given(
    form=st.sampled_from(FORMS),
    dtype=st.sampled_from((jnp.float32, jnp.bfloat16)),
    size=st.sampled_from(SIZES),
    seed=st.integers(0, 99),
)
def test_sums_of_distinct_indices_ascending(form, dtype, size, seed):
    count, num_rows, width = size
    rng = np.random.default_rng(seed)
    indices = rng.integers(-1, num_rows + 1, count).astype(np.int32)
    assert_sums(form, indices, rng.normal(size=(count, width)).astype(dtype), num_rows)


@forms
def test_runs_of_every_length_up_to_three_levels(form):
    """Each length around the end of a piece, and of a piece of pieces."""
    lengths = [*range(1, 20), 63, 64, 65, 71, 72, 73, 577]
    indices = np.repeat(np.arange(len(lengths)), lengths).astype(np.int32)
    order = np.random.default_rng(0).permutation(indices.size)
    rows = np.random.default_rng(1).normal(size=(indices.size, 2)).astype(np.float32)
    assert_sums(form, indices[order], rows, len(lengths))


def test_indices_of_any_shape_and_rows_of_any_shape():
    rng = np.random.default_rng(0)
    indices = rng.integers(0, 5, (2, 3)).astype(np.int32)
    for shape in ((2, 3, 4, 2), (2, 3)):
        rows = rng.normal(size=shape).astype(np.float32)
        row_ids, actual = slots(indices, rows, 5)
        total = oracle(indices, rows, 5)[0].reshape(5, *shape[2:])
        used = np.asarray(row_ids) < 5
        # At most six rows of size below 4 meet.
        expected = total[np.asarray(row_ids)[used]]
        np.testing.assert_allclose(np.asarray(actual)[used], expected, atol=2e-6)


@pytest.mark.parametrize("shape", ((0, 3), (4, 0)))
def test_nothing_to_add(shape):
    indices, rows = np.zeros(shape[:1], np.int32), np.zeros(shape, np.float32)
    row_ids, actual = slots(indices, rows, 6)
    assert row_ids.shape == (shape[0],)
    assert actual.shape == shape


@forms
def test_what_is_not_finite_stays_in_its_row(form):
    indices = np.array([3, -1, 0, 3, 9, 0, 1, 2], np.int32)
    rows = np.ones((8, 2), np.float32)
    rows[[1, 4]] = np.nan  # dropped
    rows[0], rows[6] = np.inf, np.nan
    row_ids, actual = by_slot(form, indices, rows, 4)
    np.testing.assert_array_equal(row_ids, [0, 1, 2, 3])
    np.testing.assert_array_equal(actual[:, 0], [2.0, np.nan, 1.0, np.inf])


@forms
def test_bits_of_a_sum_depend_on_its_own_rows_alone(form):
    """A device that holds other rows of the table gets the same sums of its own."""
    rng = np.random.default_rng(2)
    indices = rng.integers(0, 7, 300).astype(np.int32)
    rows = rng.normal(size=(300, 2)).astype(np.float32)
    all_ids, every = by_slot(form, indices, rows, 7)
    few_ids, few = by_slot(form, np.where(indices >= 4, indices - 4, -1), rows, 7)
    np.testing.assert_array_equal(all_ids, range(7))
    np.testing.assert_array_equal(few_ids[:3], range(3))
    assert_same_bits(few[:3], every[4:])


def test_in_turn_is_one_row_after_another():
    rng = np.random.default_rng(3)
    indices = rng.integers(0, 2, 300).astype(np.int32)
    rows = rng.normal(size=(300, 2)).astype(np.float32)
    rows[indices == 1] = -0.0  # 0 + -0 is 0
    expected = np.zeros((2, 2), np.float32)
    np.add.at(expected, indices, rows)
    assert_same_bits(by_slot(row_sums.sums_in_turn, indices, rows, 2)[1], expected)


@pytest.mark.parametrize("num_rows", (2**31 - 1, 2**20))
def test_ids_of_large_tables_are_sorted_digit_by_digit(num_rows):
    """A word holds a place in 12 bits, so that ids of 21 or 31 bits take two passes."""
    rng = np.random.default_rng(4)
    ids = rng.integers(0, num_rows, 4096, endpoint=True).astype(np.int32)
    ids[::3] = ids[0]
    actual, order = jitted(row_sums.sorted_by_id)(ids, num_rows)
    expected = np.argsort(ids, kind="stable")
    np.testing.assert_array_equal(order, expected)
    np.testing.assert_array_equal(actual, ids[expected])


IN_64_BITS = (np.int64, np.uint64) if jax.config.jax_enable_x64 else ()


@pytest.mark.parametrize("dtype", (np.int8, np.uint8, np.int32, np.uint32, *IN_64_BITS))
def test_rows_are_set_at_ids_of_every_dtype(dtype):
    """The last ids are out of range; cut to 32 bits, those of 64 would not be."""
    largest = min(np.iinfo(dtype).max, 2**32 + 1)
    ids = np.array([2, 0, largest, largest - 1], dtype)
    rows = np.arange(1, 9, dtype=np.float32).reshape(4, 2)
    expected = np.zeros((5, 2), np.float32)
    expected[[2, 0]] = rows[:2]
    actual = jitted(row_sums.set_rows)(np.zeros((5, 2), np.float32), ids, rows)
    assert_same_bits(actual, expected)
    distinct = row_sums.distinct_outside(jnp.asarray(ids), 5)
    assert distinct.dtype == jnp.int32
    assert len(np.unique(distinct)) == len(ids)


def test_batch_equals_vmap():
    rng = np.random.default_rng(1)
    indices = rng.integers(-1, 6, (3, 40)).astype(np.int32)
    rows = rng.normal(size=(3, 40, 2)).astype(np.float32)
    mapped = jax.jit(jax.vmap(lambda i, r: sum_by_row(i, r, 6)))(indices, rows)
    for index in range(3):
        one = slots(indices[index], rows[index], 6)
        for actual, expected in zip(mapped, one, strict=True):
            assert_same_bits(actual[index], expected)
