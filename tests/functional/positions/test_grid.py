import re

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, refused

import attnax.functional as F


def grid_in_groups(sizes, merge_size):
    """Group by group, row by row, and so within each."""
    *frames, rows, columns = sizes
    return [
        (*frame, row, column)
        for frame in np.ndindex(*frames)
        for top in range(0, rows, merge_size)
        for left in range(0, columns, merge_size)
        for row in range(top, top + merge_size)
        for column in range(left, left + merge_size)
    ]


@pytest.mark.parametrize(
    "sizes, merge_size",
    (
        ((5, 7), 1),
        ((7, 5), 1),
        ((3, 5, 7), 1),
        ((2, 3, 5, 7), 1),
        ((1, 1), 1),
        ((4, 6), 2),  # groups of 2 x 3
        ((3, 6, 10), 2),
        ((6, 9), 3),
        ((2, 5, 5), 5),
    ),
)
def test_grids(sizes, merge_size):
    actual = F.positions_from_grid(sizes, merge_size=merge_size)
    assert isinstance(actual, np.ndarray)
    expected = np.array(grid_in_groups(sizes, merge_size), np.int32)
    assert_same_bits(actual, expected)
    assert_same_bits(F.positions_from_grid(list(sizes), merge_size=merge_size), actual)
    if merge_size == 1:
        assert_same_bits(F.positions_from_grid(sizes), actual)
        assert actual.tolist() == [list(index) for index in np.ndindex(*sizes)]


def test_the_order_of_a_merger_is_that_of_the_patches_it_merges():
    """Rotating in groups is rotating row by row, and then taking the groups."""
    rope = F.axial_rope((4, 4))
    x = np.random.default_rng(0).normal(size=(24, 2, 8)).astype(np.float32)
    row_major = F.positions_from_grid((4, 6))
    grouped = F.positions_from_grid((4, 6), merge_size=2)
    order = grouped[:, 0] * 6 + grouped[:, 1]
    whole = np.asarray(F.rotate(rope, jnp.asarray(x), row_major))
    actual = F.rotate(rope, jnp.asarray(x[order]), grouped)
    assert_same_bits(actual, whole[order])


@pytest.mark.errors
@pytest.mark.parametrize("sizes", ((), (5,), (0, 7), (5, -1), (0, 5, 7)))
def test_grids_have_two_or_more_positive_sizes(sizes):
    message = re.escape(f"grid={sizes} must be (rows, columns)")
    with pytest.raises(ValueError, match=message):
        F.positions_from_grid(sizes)


@pytest.mark.errors
def test_grids_have_as_many_axes_as_numpy_has_room_for():
    assert F.positions_from_grid((1,) * 59 + (2, 2), merge_size=2).shape == (4, 61)
    for count in (62, 64, 65):
        with refused("^positions_from_grid: grid=.* must be .rows, columns"):
            F.positions_from_grid((1,) * count)


@pytest.mark.errors
@pytest.mark.parametrize(
    "sizes, merge_size", (((4, 6), 0), ((4, 6), -2), ((4, 5), 2), ((2, 5, 4), 2))
)
def test_groups_must_fill_the_grid(sizes, merge_size):
    rule = "divide the rows and the columns" if merge_size > 0 else "be a positive"
    message = f"merge_size={merge_size} must {rule}"
    with pytest.raises(ValueError, match=message):
        F.positions_from_grid(sizes, merge_size=merge_size)
