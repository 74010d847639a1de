"""The tokens that each device holds when every packed document is split."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, Integer

from ..._public import public
from .boundaries import boundaries_of, documents_at
from .shards import checked_shard, checked_sizes, zigzag


@public
def document_zigzag_indices(
    cumulative_lengths: Integer[Array | np.ndarray, "*batch num_documents_plus_1"]
    | Sequence,
    total_len: SupportsIndex,
    num_shards: SupportsIndex,
    shard_index: SupportsIndex | Integer[Array | np.ndarray, ""],
) -> Int32[Array, "*batch {total_len}//{num_shards}"]:
    """The indices of the tokens that a device holds if each document is split zig-zag.

    Of each document, device `i` of `n` holds the chunks `i` and `2 n - 1 - i` of `2 n`.
    TransformerEngine and Megatron-LM split packed documents in this way.
    `positions_of_tokens` makes their positions.

    Args:
        cumulative_lengths: 0, and then the end of each document, as in
            `positions_from_cumulative_lengths`. Multiples of `2 * num_shards`: pad each
            document.
        total_len: Static number of tokens, a multiple of `2 * num_shards` too. Tokens
            past the last document are split as one more document.
        num_shards: Number of devices over which each document is split.
        shard_index: Index of the device among them; `jax.lax.axis_index` within
            `jax.shard_map`.

    Returns:
        The indices, in the order in which the device holds the tokens. They are all -1
        where a traced `shard_index` is out of range, or a traced cumulative length is
        no multiple or more than `total_len`.

    Raises:
        ValueError: If a size is not positive; if `total_len` or a known cumulative
            length is not a multiple of `2 * num_shards`; if a known one is more than
            `total_len`; if a known `shard_index` is out of range; or for an error of
            `positions_from_cumulative_lengths`.

    Example:
        >>> document_zigzag_indices(jnp.array([0, 8, 12]), 12, 2, 0)
        Array([ 0,  1,  6,  7,  8, 11], dtype=int32)

    Reference:
        NVIDIA TransformerEngine, `thd_get_partitioned_indices`.
        https://github.com/NVIDIA/TransformerEngine
    """
    total_len, num_shards = checked_sizes(
        total_len, num_shards, "zigzag", name="total_len"
    )
    shard = checked_shard(shard_index, num_shards)
    boundaries = boundaries_of(cumulative_lengths, num_shards, total_len)
    boundaries, valid = _with_last(boundaries, total_len, 2 * num_shards)
    # Every device holds an equal part of each document. Of these parts:
    places = lax.iota(jnp.int32, total_len // num_shards)
    found = documents_at(boundaries // num_shards, places)
    indices = found.begin * num_shards + zigzag(
        found.position, found.length, num_shards, shard
    )
    return jnp.where(valid & (shard >= 0), indices, -1)


def _with_last(boundaries, total_len, unit):
    """The boundaries with `total_len` as the last, and whether they fit and divide."""
    fits = (boundaries <= total_len) & (boundaries % unit == 0)
    valid = jnp.all(fits, axis=-1, keepdims=True)
    after = [(0, 0, 0)] * (boundaries.ndim - 1) + [(0, 1, 0)]
    return lax.pad(boundaries, jnp.int32(total_len), after), valid
