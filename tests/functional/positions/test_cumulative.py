"""Positions and segment ids from cumulative lengths, of all tokens and of some."""

import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

positions = jitted(F.positions_from_cumulative_lengths)
segment_ids = jitted(F.segment_ids_from_cumulative_lengths)
positions_of = jitted(F.positions_of_tokens)
segment_ids_of = jitted(F.segment_ids_of_tokens)


def laid_out(lengths, total_len):
    """The position and the segment id of every token, one token after another."""
    of_documents = [
        (place, number + 1)
        for number, length in enumerate(lengths)
        for place in range(length)
    ]
    padded = (of_documents + [(0, 0)] * total_len)[:total_len]
    return np.array(padded, np.int32).T


def cumulative(lengths):
    zeros = np.zeros((*lengths.shape[:-1], 1), lengths.dtype)
    return np.concatenate([zeros, lengths.cumsum(-1, dtype=lengths.dtype)], -1)


batches = pytest.mark.parametrize("batch", ((), (2, 3)))


@batches
@given(data=st.data())
def test_all_tokens(data, batch):
    """Documents without tokens among them, and tokens past the last document."""
    total_len = 10
    lengths = data.draw(ax.integers((*batch, 4), 0, 3))
    rows = lengths.reshape(-1, 4).tolist()
    expected = np.array([laid_out(row, total_len) for row in rows])
    expected = np.moveaxis(expected, 1, 0).reshape(2, *batch, total_len)
    ends = cumulative(lengths)
    for actual, wanted in (
        (positions(ends, total_len), expected[0]),
        (segment_ids(ends, total_len), expected[1]),
        (jitted(F.positions_from_lengths)(lengths, total_len), expected[0]),
        (jitted(F.segment_ids_from_lengths)(lengths, total_len), expected[1]),
    ):
        assert actual.dtype == jnp.int32
        np.testing.assert_array_equal(actual, wanted)


def test_lists_outside_jit():
    np.testing.assert_array_equal(
        F.segment_ids_of_tokens([2, 3, 5], [0, 3, 5]), [1, 2, 0]
    )


@batches
@given(data=st.data())
def test_some_tokens_in_any_order_are_the_tokens_of_the_whole(data, batch):
    ends = cumulative(data.draw(ax.integers((*batch, 4), 0, 3)))
    tokens = data.draw(ax.integers((*batch, 5), 0, 13))
    for of_some, of_all in ((positions_of, positions), (segment_ids_of, segment_ids)):
        whole = np.asarray(of_all(ends, 14))
        np.testing.assert_array_equal(
            of_some(tokens, ends), np.take_along_axis(whole, tokens, -1)
        )


def test_a_batch_of_either_argument_alone():
    rng = np.random.default_rng(0)
    ends, tokens = (
        cumulative(rng.integers(0, 4, (2, 3, 4))),
        rng.integers(0, 14, (3, 5)),
    )
    for some, every in ((tokens, ends[0, 0]), (tokens[0], ends), (tokens, ends)):
        actual = positions_of(some, every)
        batch = np.broadcast_shapes(some.shape[:-1], every.shape[:-1])
        assert actual.shape == (*batch, 5)
        for index in np.ndindex(batch):
            one = some[index[-1]] if some.ndim == 2 else some
            row = every[index] if every.ndim == 3 else every
            np.testing.assert_array_equal(actual[index], positions_of(one, row))


@pytest.mark.parametrize("count", (1, 2, 3, 8, 9))
def test_every_number_of_documents(count):
    """The search halves what is left, whose length need be no power of two."""
    lengths = np.arange(count, dtype=np.int32) % 3 + 1
    total_len = int(lengths.sum()) + 2
    expected, _ = laid_out(lengths, total_len)
    tokens = np.arange(total_len, dtype=np.int32)
    np.testing.assert_array_equal(positions_of(tokens, cumulative(lengths)), expected)


def test_narrow_and_unsigned_integers():
    for dtype in (np.uint8, np.int16, np.uint32):
        ends, tokens = np.array([0, 3, 200], np.uint8), np.array([2, 3, 199, 200])
        of_dtype = ends.astype(dtype), tokens.astype(dtype)
        actual = positions_of(*reversed(of_dtype))
        assert actual.dtype == jnp.int32
        np.testing.assert_array_equal(actual, [2, 0, 196, 0])


def test_no_documents():
    for ends in ([0], [0, 0, 0]):
        np.testing.assert_array_equal(positions(np.array(ends), 3), 0)
        np.testing.assert_array_equal(segment_ids(np.array(ends), 3), 0)
    none = np.zeros(0, np.int32)
    np.testing.assert_array_equal(jitted(F.segment_ids_from_lengths)(none, 3), 0)


def test_the_last_token_that_int32_counts():
    ends = np.array([0, 5, 2**31 - 2, 2**31 - 1], np.uint32)
    tokens = np.array([2**31 - 1, 2**31 - 2, 2**31 - 3, 5, 4], np.int32)
    expected = [0, 0, 2**31 - 8, 0, 4]
    np.testing.assert_array_equal(positions_of(tokens, ends), expected)
    np.testing.assert_array_equal(segment_ids_of(tokens, ends), [0, 3, 2, 2, 1])
    np.testing.assert_array_equal(positions_of(tokens[1:4], ends), expected[1:4])


def test_traced_numbers_that_are_no_cumulative_lengths():
    """A number below one in front of it is that one, as a negative length is 0."""
    traced = np.array([0, 4, 2, 6], np.int32)
    same = np.array([0, 4, 4, 6], np.int32)
    np.testing.assert_array_equal(segment_ids(traced, 8), segment_ids(same, 8))
    np.testing.assert_array_equal(positions(traced, 8), positions(same, 8))
    # Nothing stands in front of a first number above 0.
    np.testing.assert_array_equal(segment_ids(np.array([2, 4]), 5), [0, 0, 1, 1, 0])
    below = np.array([-1, -(2**31), 1], np.int32)
    np.testing.assert_array_equal(positions_of(below, same), [0, 0, 1])
    np.testing.assert_array_equal(segment_ids_of(below, same), [0, 0, 1])


@pytest.mark.errors
@pytest.mark.parametrize(
    "ends, message",
    (
        ([1, 3], r"cumulative_lengths\[0\]=1 must be 0; put a 0 in front"),
        ([[0, 3], [2, 3]], r"cumulative_lengths\[1, 0\]=2 must be 0; put a 0"),
        ([0, 4, 3, 5], r"cumulative_lengths\[2\]=3 must be at least the number in fr"),
        ([0.0, 1.0], "cumulative_lengths.dtype=float64 must be integer"),
        (3, r"cumulative_lengths.shape=\(\) must be \(..., num_documents \+ 1\)"),
        (np.zeros(0, int), r"cumulative_lengths.shape=\(0,\) must end in 1 or more"),
    ),
)
def test_known_cumulative_lengths_are_checked(ends, message):
    calls = {
        "positions_from_cumulative_lengths": (ends, 7),
        "segment_ids_from_cumulative_lengths": (np.asarray(ends), 7),
        "positions_of_tokens": ([1], ends),
        "segment_ids_of_tokens": ([1], ends),
    }
    for name, arguments in calls.items():
        with refused(f"^{name}: {message}"):
            getattr(F, name)(*arguments)


@pytest.mark.errors
def test_other_arguments_are_checked():
    for name in ("positions", "segment_ids"):
        with refused(
            f"^{name}_from_cumulative_lengths: total_len=0 must be an integer"
        ):
            getattr(F, f"{name}_from_cumulative_lengths")([0, 3], 0)
        of_tokens = getattr(F, f"{name}_of_tokens")
        with refused(rf"^{name}_of_tokens: token_indices\[1\]=-1 must lie in \[0, "):
            of_tokens([0, -1], [0, 3])
        with refused(f"^{name}_of_tokens: token_indices is an int, but must be an arr"):
            of_tokens(3, [0, 3])
        with refused(r"token_indices.shape=\(2, 1\) must have the batch axes \(3,\)"):
            of_tokens(np.zeros((2, 1), int), np.zeros((3, 2), int))
    with refused("^segment_ids_from_lengths: total_len=-1 must be an integer in"):
        F.segment_ids_from_lengths([1], -1)
