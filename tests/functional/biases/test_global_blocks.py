"""Positions of tokens among the summaries of blocks."""

import bucket_bias_oracles as oracles
import jax
import jax.export
import numpy as np
import pytest
from bias_laws import drawn, matrix
from helpers import jitted

import attnax.functional as F

blocks_of = jitted(F.global_blocks)


def padded(length, *counts):
    """Masks of sequences with padding on the right."""
    return np.arange(length) < np.array(counts)[:, None]


@pytest.mark.parametrize(
    "mask, block_size",
    (
        (padded(12, 12, 6, 3, 0), 4),
        (padded(11, 11, 8, 7, 4), 4),
        (padded(6, 6, 1), 1),
        (padded(3, 3, 2), 4),
    ),
    ids=("whole", "a rest", "ones", "less than a block"),
)
def test_tokens_stand_in_the_block_of_their_place(mask, block_size):
    blocks = blocks_of(mask, block_size=block_size)
    assert isinstance(blocks, F.GlobalBlocks)
    assert blocks.q_positions.dtype == blocks.k_positions.dtype == np.int32
    np.testing.assert_array_equal(
        blocks.q_positions, oracles.block_ids(mask, block_size)
    )
    num_blocks = mask.shape[-1] // block_size
    np.testing.assert_array_equal(blocks.k_positions, np.arange(num_blocks))
    last = np.asarray(blocks.q_positions).max(-1, keepdims=True)
    np.testing.assert_array_equal(blocks.mask, np.arange(num_blocks) <= last)


def test_padding_on_the_left_loses_no_block():
    # transformers 5.23 counts the blocks that are there, and drops the last one.
    mask = np.array([0] * 4 + [1] * 8)
    blocks = blocks_of(mask, block_size=4)
    np.testing.assert_array_equal(blocks.q_positions, [-1] * 4 + [1] * 4 + [2] * 4)
    np.testing.assert_array_equal(blocks.mask, [False, True, True])


def test_long_sequences_have_exact_blocks():
    # Other code adds up float32 quotients.
    blocks = blocks_of(np.ones(200_000, bool), block_size=49)
    expected = np.minimum(np.arange(200_000) // 49, 200_000 // 49 - 1)
    np.testing.assert_array_equal(blocks.q_positions, expected)


def test_the_bias_of_summaries_is_t5_with_these_positions():
    bias = F.T5Bias(3, 8, 6, bidirectional=True)
    params, mask = drawn(bias), padded(12, 12, 6)
    blocks = blocks_of(mask, block_size=2)
    actual = matrix(bias, params, blocks.q_positions, blocks.k_positions)
    ids = oracles.block_ids(mask, 2)
    expected = oracles.t5_bias(params.table, ids, np.arange(6), 6, True)
    np.testing.assert_array_equal(actual, expected)


def test_kinds_of_masks_and_batches():
    mask = padded(12, 12, 6)
    expected = blocks_of(mask, block_size=4)
    for same in (mask.astype(np.int32), mask.tolist()):
        for one, other in zip(
            F.global_blocks(same, block_size=4), expected, strict=True
        ):
            np.testing.assert_array_equal(one, other)
    stacked = blocks_of(np.stack([mask] * 2), block_size=4)
    np.testing.assert_array_equal(stacked.q_positions[1], expected.q_positions)
    mapped = jax.vmap(lambda mask: F.global_blocks(mask, block_size=4).mask)(mask)
    np.testing.assert_array_equal(mapped, expected.mask)


def test_symbolic_lengths_export():
    sizes = jax.export.symbolic_shape("b, n")
    mask = jax.ShapeDtypeStruct(sizes, np.bool_)
    of = jax.jit(lambda mask: F.global_blocks(mask, block_size=4).q_positions)
    assert jax.export.export(of)(mask).out_avals[0].shape == sizes


@pytest.mark.errors
def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="block_size=0 must be"):
        F.global_blocks(np.ones(3, bool), block_size=0)
    with pytest.raises(Exception, match=r"mask.dtype=float64 must be bool|Type-check"):
        F.global_blocks(np.ones(3), block_size=1)
    with pytest.raises(Exception, match=r"mask.shape=\(\) must be|Type-check"):
        F.global_blocks(np.array(True), block_size=1)
