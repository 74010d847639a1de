"""Positions and segment ids of packed documents, from their cumulative lengths."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, Integer

from ..._checks import INT32_MAX, array_of_several, check_axes, integer, row_indices
from ..._public import public
from .boundaries import boundaries_of, documents_at


@public
def positions_from_cumulative_lengths(
    cumulative_lengths: Integer[Array | np.ndarray, "*batch num_documents_plus_1"]
    | Sequence,
    total_len: SupportsIndex,
) -> Int32[Array, "*batch {total_len}"]:
    """Positions of documents that are packed one after another, from where they end.

    Args:
        cumulative_lengths: 0, and then the end of each document: `[0, 3, 5]` for
            documents of 3 and 2 tokens. FlashAttention calls them `cu_seqlens`. Numbers
            may repeat, for documents without tokens.
        total_len: Static number of tokens to return positions for. Positive and below
            2**31.

    Returns:
        Positions that restart at each document. Tokens past the last document get 0.
        In a traced array, a number below one in front of it counts as that one.

    Raises:
        ValueError: If `total_len` is out of range; if `cumulative_lengths` are not
            integers, do not begin with 0 or decrease, where they are known.

    Example:
        >>> positions_from_cumulative_lengths(jnp.array([0, 3, 5]), 7)
        Array([0, 1, 2, 0, 1, 0, 0], dtype=int32)

    Reference:
        Dao, FlashAttention-2, 2023, `flash_attn_varlen_func`.
        https://arxiv.org/abs/2307.08691
    """
    tokens, boundaries = _all_tokens(cumulative_lengths, total_len)
    return documents_at(boundaries, tokens).position


@public
def segment_ids_from_cumulative_lengths(
    cumulative_lengths: Integer[Array | np.ndarray, "*batch num_documents_plus_1"]
    | Sequence,
    total_len: SupportsIndex,
) -> Int32[Array, "*batch {total_len}"]:
    """Segment ids of packed documents: 1 for the first, 2 for the second, and so on.

    Attention kernels take them as a mask: a query sees the keys of its own id.

    Args:
        cumulative_lengths: 0, and then the end of each document, as in
            `positions_from_cumulative_lengths`.
        total_len: Static number of tokens to return ids for. Positive and below 2**31.

    Returns:
        One id per token. Tokens past the last document get 0.

    Raises:
        ValueError: For an error of `positions_from_cumulative_lengths`.

    Example:
        >>> segment_ids_from_cumulative_lengths(jnp.array([0, 3, 5]), 7)
        Array([1, 1, 1, 2, 2, 0, 0], dtype=int32)

    Reference:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        section 3.2. https://arxiv.org/abs/2107.02027
    """
    tokens, boundaries = _all_tokens(cumulative_lengths, total_len)
    return documents_at(boundaries, tokens).number


@public
def positions_of_tokens(
    token_indices: Integer[Array | np.ndarray, "*#batch num_tokens"] | Sequence,
    cumulative_lengths: Integer[Array | np.ndarray, "*#batch num_documents_plus_1"]
    | Sequence,
) -> Int32[Array, "... num_tokens"]:
    """Positions of some of the tokens of packed documents, in any order.

    A device that holds a part of the tokens makes the positions of that part, without
    those of the other tokens. `context_parallel_indices` says which tokens it holds.

    Args:
        token_indices: Places of the tokens among all packed tokens, from 0. Batch axes
            broadcast against those of `cumulative_lengths`.
        cumulative_lengths: 0, and then the end of each document, as in
            `positions_from_cumulative_lengths`.

    Returns:
        The distance of each token from the start of its document. Tokens past the last
        document get 0, and so do traced indices below 0.

    Raises:
        ValueError: If `token_indices` are not integers, or a known one is negative or
            outside int32; if batch axes do not broadcast; or for an error of
            `positions_from_cumulative_lengths`.

    Example:
        >>> positions_of_tokens(jnp.array([2, 3, 4, 9]), jnp.array([0, 3, 5]))
        Array([2, 0, 1, 0], dtype=int32)

    Reference:
        NVIDIA TransformerEngine, `thd_get_partitioned_indices`.
        https://github.com/NVIDIA/TransformerEngine
    """
    tokens, boundaries = _some_tokens(token_indices, cumulative_lengths)
    return documents_at(boundaries, tokens).position


@public
def segment_ids_of_tokens(
    token_indices: Integer[Array | np.ndarray, "*#batch num_tokens"] | Sequence,
    cumulative_lengths: Integer[Array | np.ndarray, "*#batch num_documents_plus_1"]
    | Sequence,
) -> Int32[Array, "... num_tokens"]:
    """Segment ids of some of the tokens of packed documents, in any order.

    Args:
        token_indices: Places of the tokens among all packed tokens, as in
            `positions_of_tokens`.
        cumulative_lengths: 0, and then the end of each document, as in
            `positions_from_cumulative_lengths`.

    Returns:
        The ids of `segment_ids_from_cumulative_lengths` at these tokens.

    Raises:
        ValueError: For an error of `positions_of_tokens`.

    Example:
        >>> segment_ids_of_tokens(jnp.array([2, 3, 4, 9]), jnp.array([0, 3, 5]))
        Array([1, 2, 2, 0], dtype=int32)

    Reference:
        Krell et al., Efficient Sequence Packing without Cross-contamination, 2021,
        section 3.2. https://arxiv.org/abs/2107.02027
    """
    tokens, boundaries = _some_tokens(token_indices, cumulative_lengths)
    return documents_at(boundaries, tokens).number


def _all_tokens(cumulative_lengths, total_len):
    total_len = integer("total_len", total_len, 1, INT32_MAX)
    boundaries = boundaries_of(cumulative_lengths)
    return lax.iota(jnp.int32, total_len), boundaries


def _some_tokens(token_indices, cumulative_lengths):
    token_indices = array_of_several("token_indices", token_indices)
    check_axes("token_indices", token_indices, "num_tokens")
    tokens = row_indices("token_indices", token_indices, INT32_MAX + 1)
    return tokens, boundaries_of(cumulative_lengths)
