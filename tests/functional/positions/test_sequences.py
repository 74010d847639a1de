import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax
import attnax.functional as F
from attnax.functional._positions.ends import ends_of


def rows(array):
    return np.asarray(array).reshape(-1, np.shape(array)[-1])


def by_row(function, array):
    out = np.array([function(row.tolist()) for row in rows(array)], np.int32)
    return out.reshape(np.shape(array)[:-1] + out.shape[-1:])


def count_tokens(mask):
    out, count = [], 0
    for is_token in mask:
        count += bool(is_token)
        out.append(max(count - 1, 0))
    return out


def count_since_change(ids):
    out = []
    for i, value in enumerate(ids):
        out.append(0 if i == 0 or value != ids[i - 1] else out[-1] + 1)
    return out


def lay_out(lengths, total_len):
    laid = [p for length in lengths for p in range(length)]
    return (laid + [0] * total_len)[:total_len]


@jitted
def mapped(function, array, *sizes):
    return jax.vmap(lambda row: function(row, *sizes))(array)


def everywhere(function, array, *sizes):
    """The same bits eagerly, compiled, from NumPy and mapped over the batch."""
    actual = jitted(function)(array, *sizes)
    assert actual.dtype == jnp.int32
    if array.ndim > 1:
        assert_same_bits(mapped(function, array, *sizes), actual)
    if array.ndim == 3:
        assert_same_bits(function(jnp.asarray(array), *sizes), actual)
        assert_same_bits(function(array, *sizes), actual)
    return actual


@given(
    data=st.data(),
    batch=ax.batches,
    dtype=st.sampled_from((np.bool_, np.int32, np.uint8)),
)
def test_masks(data, batch, dtype):
    mask = data.draw(ax.integers((*batch, 7), 0, 1)).astype(dtype)
    actual = everywhere(F.positions_from_mask, mask)
    np.testing.assert_array_equal(actual, by_row(count_tokens, mask))


@given(data=st.data(), batch=ax.batches, dtype=st.sampled_from((np.int32, np.uint8)))
def test_segment_ids(data, batch, dtype):
    ids = data.draw(ax.integers((*batch, 7), 0, 2)).astype(dtype)
    actual = everywhere(F.positions_from_segment_ids, ids)
    np.testing.assert_array_equal(actual, by_row(count_since_change, ids))


@given(data=st.data(), batch=ax.batches, total_len=st.sampled_from((1, 4, 12)))
def test_lengths(data, batch, total_len):
    lengths = data.draw(ax.integers((*batch, 4), 0, 3))
    actual = everywhere(F.positions_from_lengths, lengths, total_len)
    expected = by_row(lambda l: lay_out(l, total_len), lengths)
    np.testing.assert_array_equal(actual, expected)


@given(data=st.data())
def test_lengths_are_the_segments_that_they_make(data):
    lengths = data.draw(ax.integers((4,), 1, 3))  # the last is what they lack
    total_len = data.draw(st.sampled_from((10, 12)))
    lengths[-1] = total_len - lengths[:-1].sum()
    ids = np.repeat(np.arange(4, dtype=np.int32), lengths)
    np.testing.assert_array_equal(
        jitted(F.positions_from_lengths)(lengths, total_len),
        jitted(F.positions_from_segment_ids)(ids),
    )


NOISE = np.random.default_rng(0).normal(size=(8, 2, 8)).astype(np.float32)


def test_left_padding_rotates_as_the_unpadded_sequence_does():
    rope = jax.jit(attnax.RotaryEmbedding(8, 100))
    x = NOISE[3:]
    padded = np.concatenate([np.zeros((3, 2, 8), np.float32), x])
    mask = np.arange(8) >= 3
    rotated = np.asarray(rope(padded, jitted(F.positions_from_mask)(mask)))
    assert_same_bits(rotated[3:], rope(x))


def test_packed_documents_rotate_as_each_alone_does():
    rope = jax.jit(attnax.RotaryEmbedding(8, 100))
    positions = jitted(F.positions_from_lengths)(np.array([5, 3], np.int32), 8)
    packed = np.asarray(rope(NOISE, positions))
    assert_same_bits(packed[:5], rope(NOISE[:5]))
    assert_same_bits(packed[5:], rope(NOISE[5:]))


def test_values_past_int32_do_not_wrap():
    expected = [0, 1, 0, 1, 2, 3]
    for lengths in ([2, 2**31 - 1, 3], [2, 2**32 + 3, 1], [2, 2**62, 2**62]):
        actual = F.positions_from_lengths(np.array(lengths), 6)
        np.testing.assert_array_equal(actual, expected)
    traced = jax.jit(lambda l: F.positions_from_lengths(l, 6))
    many = jnp.array([2, 2**31 - 1, 3], jnp.uint32)
    np.testing.assert_array_equal(traced(many), expected)
    actual = F.positions_from_lengths(np.array([3, -2, 4]), 6)
    np.testing.assert_array_equal(actual, [0, 1, 2, 0, 1, 2])
    actual = F.positions_from_segment_ids(np.array([1, 2**32 + 1, 2**32 + 1]))
    np.testing.assert_array_equal(actual, [0, 0, 1])


def test_sums_that_wrap_end_the_last_document():
    """Lengths that each fit, whose sum passes 2**32, to below the end and more."""
    total_len = 2**31 - 1
    lengths = np.array([3, 0] + [total_len - 1] * 3 + [1, 0, 0], np.int32)
    exact = np.cumsum(lengths.astype(object))
    wrapped = (exact % 2**32 < exact) & (exact % 2**32 < total_len)
    assert wrapped.sum() > 2
    actual = jax.jit(ends_of, static_argnums=1)(lengths, total_len)
    np.testing.assert_array_equal(actual, np.minimum(exact, total_len).astype(int))


def test_documents_times_tokens_have_no_bound():
    lengths = jax.ShapeDtypeStruct((5, 2**12), jnp.int32)
    shape = jax.eval_shape(lambda l: F.positions_from_lengths(l, 2**21), lengths)
    assert shape.shape == (5, 2**21)


def test_no_tokens_at_all():
    assert F.positions_from_mask(np.zeros((2, 0), bool)).shape == (2, 0)
    assert F.positions_from_segment_ids(np.zeros((2, 0), np.int32)).shape == (2, 0)
    lengths = np.zeros((2, 0), np.int32)
    np.testing.assert_array_equal(
        F.positions_from_lengths(lengths, 3), np.zeros((2, 3))
    )


@pytest.mark.errors
@pytest.mark.parametrize("total_len", (0, -1, 2**31))
def test_total_len_must_be_positive_and_in_int32(total_len):
    with pytest.raises(ValueError, match=f"total_len={total_len} must be an integer"):
        F.positions_from_lengths(np.array([1, 2]), total_len)


@pytest.mark.errors
def test_lengths_must_be_integers():
    with refused("lengths.dtype=float32 must be integer"):
        F.positions_from_lengths(np.array([2.9, 2.9], np.float32), 5)
