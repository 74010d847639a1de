"""Positions of padded sequences, from a mask of their tokens."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Integer

from ..._checks import (
    INT32_MAX,
    bool_array,
    broadcasts_to,
    check_axes,
    int32_in_range,
    integer,
)
from ..._public import public


@public
def positions_from_mask(
    mask: Bool[Array | np.ndarray, "*batch seq_len"]
    | Integer[Array | np.ndarray, "*batch seq_len"]
    | Sequence,
) -> Int32[Array, "*batch seq_len"]:
    """Positions of the tokens of padded sequences; the first token of each gets 0.

    Padding may stand at the left, at the right or between tokens. A pad gets the
    position of the token before it, and 0 where there is none.

    Args:
        mask: True (or 1) at tokens, False (or 0) at padding. Compare an additive mask
            first: `mask == 0`. In a traced array of integers, every number but 0 is a
            token.

    Returns:
        `max(cumsum(mask) - 1, 0)`, in the shape of `mask`.

    Raises:
        ValueError: If `mask` is neither bool nor integer, or holds known integers other
            than 0 and 1.

    Example:
        >>> positions_from_mask(jnp.array([[False, False, True, True, True]]))
        Array([[0, 0, 0, 1, 2]], dtype=int32)

    Reference:
        The rule of Hugging Face's `generate` for left-padded batches.
    """
    _, count = _counted(mask)
    return jnp.maximum(count - 1, 0)


@public
def padded_positions(
    mask: Bool[Array | np.ndarray, "*batch seq_len"]
    | Integer[Array | np.ndarray, "*batch seq_len"]
    | Sequence,
    *,
    first_position: SupportsIndex,
    padding_position: SupportsIndex,
    past: SupportsIndex | Integer[Array | np.ndarray, "*#batch"] | Sequence = 0,
) -> Int32[Array, "*batch seq_len"]:
    """Positions for tables that keep their first rows for padding.

    Token `n` of a sequence, counted from 0, gets `first_position + past + n`. Padding
    gets `padding_position`, wherever it stands. The settings of some models are:

    - RoBERTa and models derived from it: `first_position=padding_id + 1` and
      `padding_position=padding_id`;
    - OPT: `first_position=2` and `padding_position=1`;
    - BART, which counts padding too: `first_position=2` and a mask that is all True.

    Args:
        mask: True (or 1) at tokens, False (or 0) at padding: `token_ids != padding_id`
            in RoBERTa, the attention mask in OPT. In a traced array of integers, every
            number but 0 is a token.
        first_position: Position of the first token of a sequence. Not negative.
        padding_position: Position of padding. Not negative.
        past: Number of tokens of each sequence in front of these, when decoding with a
            cache: one number, or one per sequence. Do not count padding, except where
            the model does: RoBERTa in transformers adds the length of its cache.

    Returns:
        Positions in the shape of `mask`. A traced negative `past` gives -1 at every
        token, which is outside every table.

    Raises:
        ValueError: If a position is negative; if `mask` is neither bool nor integer, or
            holds known integers other than 0 and 1; if `past` is not of integers, does
            not fit the batch, or is known to be negative.

    Example:
        >>> mask = jnp.array([[False, False, True, True, True]])
        >>> padded_positions(mask, first_position=2, padding_position=1)
        Array([[1, 1, 2, 3, 4]], dtype=int32)

    Reference:
        Ott et al., fairseq, 2019 (`make_positions`). https://arxiv.org/abs/1904.01038;
        transformers 5.23, `RobertaEmbeddings.create_position_ids_from_input_ids` and
        `OPTLearnedPositionalEmbedding`.
    """
    first_position = integer("first_position", first_position, 0, INT32_MAX)
    padding_position = integer("padding_position", padding_position, 0, INT32_MAX)
    mask, count = _counted(mask)
    past, valid = int32_in_range("past", past, 0)
    batch = mask.shape[:-1]
    if not broadcasts_to(past.shape, batch):
        raise ValueError(f"{past.shape=} must broadcast to {batch}, the batch.")
    past = first_position + past
    if valid is not None:
        past = jnp.where(valid, past, -INT32_MAX)
    past = past.reshape((1,) * (len(batch) - past.ndim) + past.shape + (1,))
    return jnp.where(mask, jnp.maximum(past + count - 1, -1), padding_position)


def _counted(mask):
    """A mask as bools, and the number of tokens up to each place of it."""
    mask = jnp.asarray(bool_array("mask", mask))
    check_axes("mask", mask, "seq_len")
    return mask, jnp.cumsum(mask, axis=-1, dtype=jnp.int32)
