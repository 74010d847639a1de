"""Pairs of positions and their distances, as int32 that never wraps around."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jitted, refused
from hypothesis import given
from hypothesis import strategies as st

from attnax.functional._biases.core.distances import pairs_of, saturating_difference

MIN, MAX = -(2**31), 2**31 - 1
difference = jitted(saturating_difference)
EDGES = np.array(
    [MIN, MIN + 1, MIN // 2, -1, 0, 1, 2**30, MAX // 2 + 1, MAX - 1, MAX], np.int32
)


def exact(a, b):
    """In int64, cut to int32."""
    return np.clip(np.int64(a) - np.int64(b), MIN, MAX)


def test_differences_of_the_ends_of_int32_do_not_wrap_around():
    a, b = (t.ravel() for t in np.meshgrid(EDGES, EDGES))
    assert difference(a, b).dtype == jnp.int32
    np.testing.assert_array_equal(difference(a, b), exact(a, b))


@given(st.lists(st.integers(MIN, MAX), min_size=6, max_size=6))
def test_differences_are_exact_or_the_nearest(values):
    a, b = np.array(values, np.int32).reshape(2, 3)
    np.testing.assert_array_equal(difference(a, b), exact(a, b))


@pytest.mark.parametrize(
    "positions",
    (
        range(3, 8),
        [3, 4, 5, 6, 7],
        np.arange(3, 8, dtype=np.int8),
        np.arange(3, 8, dtype=np.uint64),
    ),
    ids=lambda p: type(p).__name__,
)
def test_known_positions_that_count_up_are_told_from_others(positions):
    pairs = pairs_of(positions, range(1, 4))
    assert (pairs.offset, pairs.first_q, pairs.lengths) == (-2, 3, (5, 3))
    assert pairs.q.dtype == pairs.k.dtype == jnp.int32
    assert pairs.q_valid is None and pairs.k_valid is None
    want = np.arange(1, 4) - np.arange(3, 8)[:, None]
    np.testing.assert_array_equal(jax.jit(pairs.distances)(), want)
    # From the last query and the first key to the first query and the last key.
    np.testing.assert_array_equal(pairs.diagonal_distances(), np.arange(-6, 1))


@pytest.mark.parametrize(
    "positions",
    (
        range(0, 10, 2),
        range(4, -1, -1),
        [0, 1, 2, 3, 5],
        np.zeros(5, np.int32),
        np.arange(5, dtype=np.int32)[None],
        jnp.arange(5),
        [],
    ),
    ids=str,
)
def test_other_positions_have_no_offset(positions):
    assert pairs_of(positions, range(5)).offset is None
    assert pairs_of(range(5), positions).offset is None


def test_counting_up_past_the_end_of_a_dtype_is_no_run():
    wrapped = np.array([126, 127, -128, -127], np.int8)
    assert pairs_of(wrapped, range(4)).offset is None


def test_distances_along_diagonals_are_cut_to_int32():
    pairs = pairs_of(range(MIN, MIN + 3), range(MAX - 1, MAX + 1))
    assert pairs.diagonal_distances().tolist() == [MAX] * 4
    assert (jax.jit(pairs.distances)() == MAX).all()


def test_all_tokens_of_a_window_are_known_as_such():
    assert pairs_of(range(6), range(6)).all_of(6)
    assert not pairs_of(range(6), range(6)).all_of(7)
    assert not pairs_of(range(5), range(6)).all_of(6)
    assert not pairs_of(range(1, 7), range(1, 7)).all_of(6)
    assert not pairs_of(jnp.arange(6), range(6)).all_of(6)


def test_batch_axes_broadcast_and_ranks_are_equal():
    pairs = pairs_of(np.zeros((2, 1, 3), np.int32), np.zeros((4, 5), np.int32))
    assert pairs.batch == (2, 4)
    assert pairs.q.ndim == pairs.k.ndim == 3
    assert jax.eval_shape(pairs.distances).shape == (2, 4, 3, 5)


def test_masks_of_traced_positions_that_int32_does_not_hold():
    def valid(q, k):
        return pairs_of(q, k).valid()

    inside = np.arange(3, dtype=np.int32)
    outside = np.array([0, 2**31], np.uint32)
    assert jax.jit(valid)(inside, inside) is None
    assert jax.jit(valid)(inside, outside).tolist() == [[True, False]]
    assert jax.jit(valid)(outside, inside).tolist() == [[True], [False]]


def test_bounds_hold_for_both():
    def valid(q, k):
        return pairs_of(q, k, (0, 4)).valid()

    got = jax.jit(valid)(np.array([-1, 0, 3, 4]), np.array([5, 1]))
    assert got.tolist() == [[False, False], [False, True], [False, True], [False] * 2]


@pytest.mark.errors
@pytest.mark.parametrize(
    "arguments, message",
    (
        (([0], [4], (0, 4)), r"k_positions\[0\]=4 must lie in \[0, 4\)"),
        (([[-1]], [0], (0, 4)), r"q_positions\[0, 0\]=-1 must lie in \[0, 4\)"),
        (([2**31], [0]), r"q_positions\[0\]=2147483648 must lie in"),
        ((np.int32(1), [0]), r"q_positions.shape=\(\) must be \(..., q_len"),
        (([0], np.float32([1])), "k_positions.dtype=float32 must be integer"),
        (([True], [0]), "q_positions.dtype=bool must be integer"),
        (
            (np.zeros((2, 3), int), np.zeros((3, 3), int)),
            r"q_positions with batch axes \(2,\) and k_positions .* must",
        ),
    ),
)
def test_positions_that_do_not_fit_are_refused(arguments, message):
    with refused(message):
        pairs_of(*arguments)
