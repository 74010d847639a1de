import jax
import jax.numpy as jnp
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F


def count(mask, first_position, padding_position, past):
    """Token by token; `past` is one number per row."""
    out = np.full(mask.shape, padding_position, np.int32)
    for row in np.ndindex(mask.shape[:-1]):
        position = first_position + past[row]
        for index in np.flatnonzero(mask[row]):
            out[*row, index] = position
            position += 1
    return out


@jitted
def in_one_program(mask, past, **names):
    """Positions, and for a batch those of each row mapped over it."""
    positions = lambda mask, past: F.padded_positions(mask, past=past, **names)
    return positions(mask, past), jax.vmap(positions)(mask, past) if past.ndim else None


@given(
    data=st.data(),
    batch=ax.batches,
    dtype=st.sampled_from((np.bool_, np.int32, np.uint8)),
    first_and_padding=st.sampled_from(((0, 0), (2, 1), (0, 3))),
)
def test_tokens_are_counted_from_the_first(data, batch, dtype, first_and_padding):
    first_position, padding_position = first_and_padding
    mask = data.draw(ax.integers((*batch, 7), 0, 1)).astype(dtype)
    past = data.draw(ax.integers(batch, 0, 9))
    names = {"first_position": first_position, "padding_position": padding_position}
    positions = lambda mask, past: F.padded_positions(mask, past=past, **names)
    actual = positions(jnp.asarray(mask), jnp.asarray(past))
    assert actual.dtype == jnp.int32
    np.testing.assert_array_equal(actual, count(mask, **names, past=past))
    assert_same_bits(positions(mask, past), actual)
    compiled, mapped = in_one_program(mask, past, **names)
    assert_same_bits(compiled, actual)
    if batch:
        assert_same_bits(mapped, actual)
    without_past = F.padded_positions(mask, **names)
    zeros = np.zeros(batch, np.int32)
    np.testing.assert_array_equal(without_past, count(mask, **names, past=zeros))


MASK = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 1, 1, 0]], np.int32)


@pytest.mark.parametrize("past", (0, 7))
def test_roberta(past):
    """`(cumsum(mask) + past) * mask + pad`, the mask that of ids other than `pad`."""
    token_ids = np.where(MASK, 5, 1)
    actual = F.padded_positions(
        token_ids != 1, first_position=2, padding_position=1, past=past
    )
    np.testing.assert_array_equal(actual, (MASK.cumsum(-1) + past) * MASK + 1)
    assert actual[0].tolist() == [1, 1, 2 + past, 3 + past, 4 + past]


@pytest.mark.parametrize("num_past", (0, 2, 4))
def test_opt(num_past):
    """`(cumsum(mask) * mask - 1)[past:] + 2` of a mask that includes the past."""
    actual = F.padded_positions(
        MASK[:, num_past:],
        first_position=2,
        padding_position=1,
        past=MASK[:, :num_past].sum(-1),
    )
    expected = (MASK.cumsum(-1) * MASK - 1)[:, num_past:] + 2
    np.testing.assert_array_equal(actual, expected)


def test_bart():
    """`past + arange + 2`, padding or not."""
    actual = F.padded_positions(
        np.ones((2, 5), bool), first_position=2, padding_position=1, past=7
    )
    np.testing.assert_array_equal(actual, np.tile(7 + 2 + np.arange(5), (2, 1)))


def test_decoding_continues_the_whole_sequence():
    names = {"first_position": 2, "padding_position": 1}
    whole = F.padded_positions(MASK, **names)
    compiled = []

    @jax.jit
    def step(mask, past):
        compiled.append(mask.shape)
        return F.padded_positions(mask, past=past, **names)

    past = np.zeros(3, np.int32)
    for index in range(5):
        column = MASK[:, index : index + 1]
        np.testing.assert_array_equal(step(column, past), whole[:, index : index + 1])
        past = past + column[:, 0]
    assert len(compiled) == 1


def test_past_of_fewer_batch_axes():
    mask = np.ones((2, 3, 4), bool)
    names = {"first_position": 0, "padding_position": 0}
    actual = F.padded_positions(mask, past=np.array([5, 6, 7]), **names)
    np.testing.assert_array_equal(actual[..., 0], [[5, 6, 7], [5, 6, 7]])
    actual = F.padded_positions(mask, past=np.array([[5], [6]]), **names)
    np.testing.assert_array_equal(actual[..., 1], [[6, 6, 6], [7, 7, 7]])


def test_no_tokens_at_all():
    names = {"first_position": 2, "padding_position": 1}
    assert F.padded_positions(np.zeros((2, 0), bool), **names).shape == (2, 0)
    actual = F.padded_positions(np.zeros((2, 3), bool), **names)
    np.testing.assert_array_equal(actual, np.ones((2, 3)))


def test_traced_negative_past_is_outside_every_table():
    names = {"first_position": 2, "padding_position": 1}
    positions = jax.jit(lambda past: F.padded_positions(MASK, past=past, **names))
    actual = positions(np.array([-1, 0, -(2**31)], np.int32))
    assert actual.tolist() == [[1, 1, -1, -1, -1], [2, 3, 4, 1, 1], [-1, 1, -1, -1, 1]]


@pytest.mark.errors
@pytest.mark.parametrize("name", ("first_position", "padding_position"))
def test_positions_must_not_be_negative(name):
    names = {"first_position": 2, "padding_position": 1}
    for value in (-1, 2**31, 1.5, True):
        message = f"{name}={value} must be an integer in "
        with refused(message):
            F.padded_positions(MASK, **{**names, name: value})


@pytest.mark.errors
def test_past_must_fit():
    names = {"first_position": 2, "padding_position": 1}
    with pytest.raises(ValueError, match=r"past=-1 must lie in \[0, "):
        F.padded_positions(MASK, past=-1, **names)
    with pytest.raises(ValueError, match=r"past\[1\]=-3 must lie in \[0, "):
        F.padded_positions(MASK, past=np.array([0, -3, 1]), **names)
    for shape in ((2,), (3, 1), (1, 3)):
        with refused(r"past.shape=.* must broadcast to \(3,\), the batch"):
            F.padded_positions(MASK, past=np.zeros(shape, np.int32), **names)
    with refused("past.dtype=float64 must be integer"):
        F.padded_positions(MASK, past=np.zeros(3), **names)
