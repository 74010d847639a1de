"""Blocks of tokens whose summaries are further keys: LongT5."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Integer

from ...._checks import INT32_MAX, bool_array, check_axes, integer
from ...._public import public


class GlobalBlocks(NamedTuple):
    """Positions of tokens and of the summaries of blocks.

    Attributes:
        q_positions: The number of the block of each token, or -1.
        k_positions: The number of each block.
        mask: Which blocks there are.
    """

    q_positions: Int32[Array, "*batch seq_len"]
    k_positions: Int32[Array | np.ndarray, " num_blocks"]
    mask: Bool[Array, "*batch num_blocks"]


@public
def global_blocks(
    mask: Bool[Array | np.ndarray, "*batch seq_len"]
    | Integer[Array | np.ndarray, "*batch seq_len"]
    | Sequence,
    *,
    block_size: SupportsIndex,
) -> GlobalBlocks:
    """Returns positions of tokens among the blocks of `block_size` tokens.

    LongT5's transient-global attention has a further key for each block, a summary of
    its tokens, with the T5 bias of the distance from the query's block to it: a
    `T5Bias` with a table of its own, `bidirectional=True`, at the positions that this
    function returns.

    A block is there if its last token is no padding. Tokens after the last block that
    is there belong to it. Padding, and tokens of a sequence without a block, have the
    number -1.

    Args:
        mask: True or 1 for tokens, False or 0 for padding.
        block_size: Number of tokens of a block. Positive.

    Returns:
        The positions of tokens as queries, those of blocks as keys, and a mask of the
        blocks that are there. There are `seq_len // block_size` blocks.

    Raises:
        ValueError: If `mask` is of floats or has no axis, or if `block_size` is not
            positive.

    Example:
        >>> blocks = global_blocks([[1, 1, 1, 1, 1, 0]], block_size=2)
        >>> blocks.q_positions.tolist(), blocks.mask.tolist()
        ([[0, 0, 1, 1, 1, -1]], [[True, True, False]])

    Reference:
        Guo et al., LongT5, 2022, section 3.1.2. https://arxiv.org/abs/2112.07916
    """
    block_size = integer("block_size", block_size, 1, INT32_MAX)
    mask = jnp.asarray(bool_array("mask", mask))
    check_axes("mask", mask, "seq_len")
    seq_len = mask.shape[-1]
    # Symbolic lengths of an export are known to the program alone.
    xp = np if isinstance(seq_len, int) else jnp
    num_blocks = seq_len // block_size
    numbers = xp.arange(num_blocks, dtype=np.int32)
    whole = mask[..., : num_blocks * block_size]
    there = whole.reshape(*mask.shape[:-1], num_blocks, block_size)[..., -1]
    last = jnp.where(there, numbers.reshape((1,) * (mask.ndim - 1) + (-1,)), -1)
    last = last.max(-1, keepdims=True, initial=-1)
    places = xp.arange(seq_len, dtype=np.int32) // np.int32(block_size)
    places = jnp.minimum(places.reshape((1,) * (mask.ndim - 1) + (-1,)), last)
    return GlobalBlocks(
        q_positions=jnp.where(mask, places, -1), k_positions=numbers, mask=there
    )
