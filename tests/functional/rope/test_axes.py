"""Axes of the pairs of M-RoPE: chunks, strides and turns."""

import re

import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from table_rotations import (
    by_table,
    in_place,
    largest_pair,
    normal,
    rotate_half,
    rotate_neighbors,
    twice,
)

import attnax.functional as F


def chunk(pair, sections):
    """The section in which a pair lies; sections after the third start again."""
    for index, size in enumerate(sections):
        if pair < size:
            return index % 3
        pair -= size
    raise AssertionError


def stride(pair, sections):
    """Height has the pairs 1, 4, ... below three times its section, width 2, 5, ..."""
    axis = pair % 3
    return axis if axis > 0 and pair < 3 * sections[axis] else 0


def alternate(pair, sections):
    """Height and width by turns, then time; the sections are theirs in that order."""
    return (1, 2)[pair % 2] if pair < sections[0] + sections[1] else 0


M_ROPES = (
    # The model, its pairs, rule, sections, layout and axes.
    ("qwen2_vl", 64, chunk, (16, 24, 24), "half"),
    ("glm_4v", 32, chunk, (8, 12, 12), "interleaved"),
    ("repeated", 16, chunk, (5, 3, 2, 4, 2), "half"),
    ("qwen3_vl", 64, stride, (24, 20, 20), "half"),
    ("qwen3_5", 32, stride, (11, 11, 10), "half"),
    ("past_the_end", 32, stride, (8, 12, 12), "half"),
    ("ernie_4_5", 64, alternate, (22, 22, 20), "interleaved"),
)


def axes_of(rule, sections, pairs):
    if rule is stride:
        return F.strided_axes(sections, pairs)
    return {chunk: F.chunked_axes, alternate: F.alternating_axes}[rule](sections)


@pytest.mark.parametrize("name, pairs, rule, sections, layout", M_ROPES)
def test_m_rope(name, pairs, rule, sections, layout):
    """One progression, a coordinate for each pair: at hard positions of both signs."""
    axes = axes_of(rule, sections, pairs)
    assert axes == tuple(rule(pair, sections) for pair in range(pairs))
    hard = np.array(ax.hard_positions)
    positions = np.stack([hard, -hard[::-1], np.roll(hard, 5)], axis=-1)
    table = [
        oracles.angles(positions[:, rule(pair, sections)], [frequency])
        for pair, frequency in enumerate(oracles.inv_freq(2 * pairs, 1_000_000))
    ]
    table, turned = {
        "half": (twice(*table), rotate_half),
        "interleaved": (in_place(*table), rotate_neighbors),
    }[layout]
    rope = F.Rope(F.default_inv_freq(2 * pairs, 1_000_000.0), layout, axis_of_pair=axes)
    x = normal((12, 2, 2 * pairs + 6))
    actual = F.rotate(rope, jnp.asarray(x), positions.astype(np.int32))
    assert_close(actual, by_table(x, table, turned), magnitude=largest_pair(x))
    # On text the coordinates are equal, and the rope is that of one axis: in its bits.
    text = np.repeat(positions[:, :1], 3, axis=1).astype(np.int32)
    plain = F.Rope(F.default_inv_freq(2 * pairs, 1_000_000.0), layout)
    of_text = F.rotary_cos_sin(rope, text), F.rotary_cos_sin(plain, text[:, 0])
    for actual, expected in zip(*of_text, strict=True):
        assert_same_bits(actual, expected)


sections = st.lists(st.integers(0, 9), min_size=3, max_size=3)


@given(sections=sections, more=st.lists(st.integers(0, 9), max_size=4))
def test_chunks(sections, more):
    sections += more
    expected = tuple(chunk(pair, sections) for pair in range(sum(sections)))
    assert F.chunked_axes(sections) == expected
    by_five = F.chunked_axes(sections, num_axes=5)
    assert by_five == tuple(
        index % 5 for index, size in enumerate(sections) for _ in range(size)
    )


def test_chunks_of_more_axes_than_sections():
    assert F.chunked_axes((1, 2), num_axes=2**70) == (0, 1, 1)


@given(sections=sections, pairs=st.integers(1, 40))
def test_strides(sections, pairs):
    expected = tuple(stride(pair, sections) for pair in range(pairs))
    assert F.strided_axes(sections, pairs) == expected
    assert F.strided_axes((99, *sections[1:]), pairs) == expected  # not read
    assert F.strided_axes(sections[:1], pairs) == (0,) * pairs


def test_strides_of_four_axes():
    actual = F.strided_axes((3, 2, 1, 9), 11)
    assert actual == (0, 1, 2, 3, 0, 1, 0, 3, 0, 0, 0)


@given(side=st.integers(0, 9), time=st.integers(0, 9))
def test_alternation(side, time):
    expected = tuple(
        alternate(pair, (side, side, time)) for pair in range(2 * side + time)
    )
    assert F.alternating_axes((side, side, time)) == expected


@pytest.mark.errors
@pytest.mark.parametrize("sections", ((), (2, -1, 3)))
def test_sections_must_be_numbers_of_pairs(sections):
    for make in (
        F.chunked_axes,
        F.alternating_axes,
        lambda sections: F.strided_axes(sections, 8),
    ):
        message = re.escape(f"sections={sections} must be one or more integers")
        with pytest.raises(ValueError, match=message):
            make(sections)


@pytest.mark.errors
@pytest.mark.parametrize("number", (0, -3))
def test_numbers_of_axes_and_pairs_must_be_positive(number):
    with pytest.raises(
        ValueError, match=f"num_axes={number} must be a positive integer"
    ):
        F.chunked_axes((2, 3), num_axes=number)
    with pytest.raises(
        ValueError, match=f"rotary_pairs={number} must be a positive integer"
    ):
        F.strided_axes((2, 3, 3), number)


@pytest.mark.errors
@pytest.mark.parametrize("sections", ((2, 2), (2, 3, 2), (2, 2, 2, 2)))
def test_alternation_needs_height_and_width_alike(sections):
    message = re.escape(f"sections={sections} must be those of row, column and time")
    with pytest.raises(ValueError, match=message):
        F.alternating_axes(sections)
