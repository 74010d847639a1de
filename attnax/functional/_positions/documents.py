"""Positions of packed documents, from their segment ids or lengths."""

from collections.abc import Sequence
from functools import partial
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, Integer

from ..._checks import INT32_MAX, check_axes, integer, integer_array
from ..._public import public
from .boundaries import documents_at
from .ends import ends_of


@public
def positions_from_segment_ids(
    segment_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
) -> Int32[Array, "*batch seq_len"]:
    """Positions of packed documents, which restart at every change of id.

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
    check_axes("segment_ids", segment_ids, "seq_len")
    axis = segment_ids.ndim - 1
    before, after = segment_ids[..., :-1], segment_ids[..., 1:]
    # Compared before JAX takes the ids: a 64-bit id may wrap there. The first token is
    # compared with itself, which keeps the sharding of the ids.
    parts = segment_ids[..., :1] != segment_ids[..., :1], after != before
    changed = jnp.concatenate([jnp.asarray(part) for part in parts], axis=-1)
    shape = (1,) * axis + segment_ids.shape[-1:]
    index = lax.broadcasted_iota(jnp.int32, shape, axis)
    return index - lax.cummax(jnp.where(changed, index, 0), axis=axis)


@public
def positions_from_lengths(
    lengths: Integer[Array | np.ndarray, "*batch num_documents"] | Sequence,
    total_len: SupportsIndex,
) -> Int32[Array, "*batch {total_len}"]:
    """Positions of documents that are packed one after another, from their lengths.

    Args:
        lengths: Number of tokens of each document, in order. 0 is allowed, and negative
            lengths count as 0.
        total_len: Static number of tokens to return positions for. Positive and below
            2**31. Time and memory grow with the sum of it and the number of documents,
            not with their product.

    Returns:
        Positions that restart at each document. Tokens past the last document get 0.

    Raises:
        ValueError: If `total_len` is out of range, or `lengths` are not integers.

    Example:
        >>> positions_from_lengths(jnp.array([3, 2]), 7)
        Array([0, 1, 2, 0, 1, 0, 0], dtype=int32)

    Reference:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        section 3.2. https://arxiv.org/abs/2107.02027
    """
    total_len, ends = _checked_ends(lengths, total_len)
    starts = partial(_starts, total_len=total_len)
    for _ in ends.shape[:-1]:
        starts = jax.vmap(starts)
    shape = (1,) * (ends.ndim - 1) + (total_len,)
    index = lax.broadcasted_iota(jnp.int32, shape, ends.ndim - 1)
    inside = index < jnp.max(ends, axis=-1, keepdims=True, initial=0)
    return jnp.where(inside, index - starts(ends), 0)


@public
def segment_ids_from_lengths(
    lengths: Integer[Array | np.ndarray, "*batch num_documents"] | Sequence,
    total_len: SupportsIndex,
) -> Int32[Array, "*batch {total_len}"]:
    """Segment ids of packed documents: 1 for the first, 2 for the second, and so on.

    Args:
        lengths: Number of tokens of each document, in order, as in
            `positions_from_lengths`.
        total_len: Static number of tokens to return ids for. Positive and below 2**31.

    Returns:
        One id per token. Tokens past the last document get 0.

    Raises:
        ValueError: For an error of `positions_from_lengths`.

    Example:
        >>> segment_ids_from_lengths(jnp.array([3, 2]), 7)
        Array([1, 1, 1, 2, 2, 0, 0], dtype=int32)

    Reference:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        section 3.2. https://arxiv.org/abs/2107.02027
    """
    total_len, ends = _checked_ends(lengths, total_len)
    first = [(0, 0, 0)] * (ends.ndim - 1) + [(1, 0, 0)]
    boundaries = lax.pad(ends, jnp.int32(0), first)
    return documents_at(boundaries, lax.iota(jnp.int32, total_len)).number


def _checked_ends(lengths, total_len):
    """`total_len` as an int, and the end of each document in int32."""
    total_len = integer("total_len", total_len, 1, INT32_MAX)
    lengths = integer_array("lengths", lengths)
    check_axes("lengths", lengths, "num_documents")
    # Cut before they are added, so that no sum wraps.
    limit = min(total_len, jnp.iinfo(lengths.dtype).max)
    return total_len, ends_of(jnp.asarray(lengths.clip(0, limit)), total_len)


def _starts(ends, total_len):
    """The last of the `ends` at or before each token: the start of its document."""
    marks = jnp.zeros((total_len,), jnp.int32).at[ends].max(ends, mode="drop")
    return lax.cummax(marks)
