"""Positions from masks, segments, lengths and grids, in int32."""

from collections.abc import Sequence
from functools import partial
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Int32, Integer

from .._checks import (
    INT32_MAX,
    bool_array,
    broadcasts_to,
    check_axis,
    grid_sizes,
    int32_in_range,
    integer_array,
    is_integer,
    positive_integer,
)
from .._public import public

MOST_AXES = 64  # of a NumPy array


@public
def positions_from_mask(
    mask: Bool[Array | np.ndarray, "*batch seq_len"]
    | Integer[Array | np.ndarray, "*batch seq_len"]
    | Sequence,
) -> Int32[Array, "*batch seq_len"]:
    """Positions of the tokens of padded sequences: the first token of each gets 0.

    Left, right and interspersed padding are all allowed; a pad gets the position of the
    token before it, and 0 where there is none.

    Args:
        mask: True (or 1) at tokens, False at padding; an additive mask is to be
            compared first. Of a traced array of integers, all but 0 are tokens.

    Returns:
        `max(cumsum(mask) - 1, 0)`, the shape of `mask`.

    Raises:
        ValueError: If `mask` is neither bool nor integer, or known integers are others
            than 0 and 1.

    Example:
        >>> positions_from_mask(jnp.array([[False, False, True, True, True]]))
        Array([[0, 0, 0, 1, 2]], dtype=int32)

    Reference:
        The rule of Hugging Face's `generate` for left-padded batches.
    """
    mask = jnp.asarray(bool_array("mask", mask))
    check_axis("mask", mask)
    counted = jnp.cumsum(mask, axis=-1, dtype=jnp.int32)
    return jnp.maximum(counted - 1, 0)


@public
def positions_from_segment_ids(
    segment_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
) -> Int32[Array, "*batch seq_len"]:
    """Positions of packed documents: they restart at every change of id.

    Args:
        segment_ids: One id per token, equal within a document. An id that comes back
            after another one starts a new document.

    Returns:
        The distance of each token from the start of its document.

    Raises:
        ValueError: If `segment_ids` are not integers along one axis or more.

    Example:
        >>> positions_from_segment_ids(jnp.array([7, 7, 7, 2, 2, 7]))
        Array([0, 1, 2, 0, 1, 0], dtype=int32)

    Reference:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        section 3.2. https://arxiv.org/abs/2107.02027
    """
    segment_ids = integer_array("segment_ids", segment_ids)
    check_axis("segment_ids", segment_ids)
    axis = segment_ids.ndim - 1
    before, after = segment_ids[..., :-1], segment_ids[..., 1:]
    # Before JAX takes them: a 64-bit id may wrap there. The first token is compared
    # with itself, which keeps the sharding of the ids.
    parts = segment_ids[..., :1] != segment_ids[..., :1], after != before
    changed = jnp.concatenate([jnp.asarray(part) for part in parts], axis=-1)
    shape = (1,) * axis + segment_ids.shape[-1:]
    index = lax.broadcasted_iota(jnp.int32, shape, axis)
    return index - lax.cummax(jnp.where(changed, index, 0), axis=axis)


@public
def positions_from_lengths(
    lengths: Integer[Array | np.ndarray, "*batch num_documents"] | Sequence,
    total_len: int,
) -> Int32[Array, "*batch {total_len}"]:
    """Positions of documents packed one after another, given by their lengths.

    Args:
        lengths: Tokens of each document, in order. 0 is allowed, and less counts as 0.
        total_len: Static number of tokens to give positions for. Positive, and below
            2**31. Time and memory grow with it and with the number of documents, not
            with their product.

    Returns:
        Positions that restart at each document; tokens past the last document get 0.

    Raises:
        ValueError: If `total_len` is out of range, or `lengths` are not integers.

    Example:
        >>> positions_from_lengths(jnp.array([3, 2]), 7)
        Array([0, 1, 2, 0, 1, 0, 0], dtype=int32)

    Reference:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        section 3.2. https://arxiv.org/abs/2107.02027
    """
    total_len = positive_integer("total_len", total_len)
    lengths = integer_array("lengths", lengths)
    check_axis("lengths", lengths, "num_documents")
    if total_len > INT32_MAX:
        raise ValueError(f"{total_len=} must be below 2**31.")
    # Cut before adding, so that no length wraps.
    limit = min(total_len, jnp.iinfo(lengths.dtype).max)
    ends = _ends(jnp.asarray(lengths.clip(0, limit)), total_len)
    starts = partial(_starts, total_len=total_len)
    for _ in ends.shape[:-1]:
        starts = jax.vmap(starts)
    shape = (1,) * (ends.ndim - 1) + (total_len,)
    index = lax.broadcasted_iota(jnp.int32, shape, ends.ndim - 1)
    inside = index < jnp.max(ends, axis=-1, keepdims=True, initial=0)
    return jnp.where(inside, index - starts(ends), 0)


def _ends(lengths, total_len):
    """Where each document ends, in int32; past `total_len` that is the end of all."""
    lengths = lengths.astype(jnp.uint32)
    sums = jnp.cumsum(lengths, axis=-1, dtype=jnp.uint32)
    # The first sum beyond is at most twice `total_len`, which is no wrap; later ones
    # may wrap.
    beyond = lax.cummax((sums > total_len).astype(jnp.int32), axis=lengths.ndim - 1)
    return jnp.where(beyond == 0, sums, total_len).astype(jnp.int32)


def _starts(ends, total_len):
    """For each token, where the last of the `ends` before it or at it stands."""
    marks = jnp.zeros((total_len,), jnp.int32).at[ends].max(ends, mode="drop")
    return lax.cummax(marks)


@public
def positions_from_grid(
    grid: Sequence[SupportsIndex], *, merge_size: SupportsIndex = 1
) -> Int32[np.ndarray, "num_patches {len(grid)}"]:
    """Coordinates of the patches of an image or video: one row per patch, row-major.

    Args:
        grid: Number of patches along each axis: `(rows, columns)`, with
            `frames` or other axes in front of them. Positive.
        merge_size: Patches come in square groups of so many on each side, group by
            group, as models with a patch merger take them (Qwen2-VL, with 2). It
            divides the rows and the columns.

    Returns:
        The coordinates of every patch, in the order of `grid`, on the host: for a rope
        of as many axes. Models that count columns first or from 1 take `[:, ::-1]` or
        add 1 (Llama 4 vision: both, and 0 for the class token).

    Raises:
        ValueError: If a size is not positive, there are fewer than two, or `merge_size`
            does not divide the last two.

    Example:
        >>> positions_from_grid((2, 2)).tolist()
        [[0, 0], [0, 1], [1, 0], [1, 1]]

    Reference:
        Wang et al., Qwen2-VL, 2024, section 2.1. https://arxiv.org/abs/2409.12191
    """
    sizes = grid_sizes("grid", grid, most_axes=MOST_AXES)
    merge_size = positive_integer("merge_size", merge_size)
    *frames, rows, columns = sizes
    if rows % merge_size or columns % merge_size:
        raise ValueError(
            f"{merge_size=} must divide the rows and the columns of grid={sizes}."
        )
    coordinates = np.moveaxis(np.indices(sizes, np.int32), 0, -1)
    groups = (rows // merge_size, merge_size, columns // merge_size, merge_size)
    coordinates = coordinates.reshape(*frames, *groups, len(sizes))
    return coordinates.swapaxes(-4, -3).reshape(-1, len(sizes))


@public
def padded_positions(
    mask: Bool[Array | np.ndarray, "*batch seq_len"]
    | Integer[Array | np.ndarray, "*batch seq_len"]
    | Sequence,
    *,
    first_position: int,
    padding_position: int,
    past: int | Integer[Array | np.ndarray, "*#batch"] | Sequence = 0,
) -> Int32[Array, "*batch seq_len"]:
    """Positions in tables whose first rows are kept for padding.

    The `n`-th token of a sequence, from 0, gets `first_position + past + n`, and
    padding `padding_position`, wherever it stands:

    - RoBERTa and its kin: `first_position=padding_id + 1, padding_position=padding_id`;
    - OPT: `first_position=2, padding_position=1`;
    - BART counts padding too: `2 + past + jnp.arange(seq_len)`, or all True here.

    Args:
        mask: True (or 1) at tokens, False at padding: `token_ids != padding_id` in
            RoBERTa, the attention mask in OPT. Of a traced array of integers, all but 0
            are tokens.
        first_position: Of the first token of a sequence. Not negative.
        padding_position: Of padding. Not negative.
        past: Tokens of each sequence before these, when decoding with a cache: a number
            or one per sequence. Padding is not counted, except where a model's own code
            does: RoBERTa's in transformers adds the length of its cache.

    Returns:
        The shape of `mask`. A traced negative `past` gives -1 at every token, which is
        outside every table.

    Raises:
        ValueError: If a position is negative, `mask` is neither bool nor integer, known
            integers in it are others than 0 and 1, or `past` is not of integers, does
            not fit the batch, or is known outside every transformation and negative.

    Example:
        >>> mask = jnp.array([[False, False, True, True, True]])
        >>> padded_positions(mask, first_position=2, padding_position=1)
        Array([[1, 1, 2, 3, 4]], dtype=int32)

    Reference:
        Ott et al., fairseq, 2019 (`make_positions`). https://arxiv.org/abs/1904.01038;
        transformers 5.23, `RobertaEmbeddings.create_position_ids_from_input_ids` and
        `OPTLearnedPositionalEmbedding`.
    """
    static = {"first_position": first_position, "padding_position": padding_position}
    for position_name, position in static.items():
        if not is_integer(position) or not 0 <= position <= INT32_MAX:
            raise ValueError(
                f"{position_name}={position} must be an integer in int32, and "
                "not negative."
            )
    mask = jnp.asarray(bool_array("mask", mask))
    check_axis("mask", mask)
    past, valid = int32_in_range("past", past, 0)
    batch = mask.shape[:-1]
    if not broadcasts_to(past.shape, batch):
        raise ValueError(f"{past.shape=} must broadcast to {batch}, the batch.")
    past = first_position + past
    if valid is not None:
        past = jnp.where(valid, past, -INT32_MAX)
    past = past.reshape((1,) * (len(batch) - past.ndim) + past.shape + (1,))
    counted = past + jnp.cumsum(mask, axis=-1, dtype=jnp.int32) - 1
    return jnp.where(mask, jnp.maximum(counted, -1), padding_position)
