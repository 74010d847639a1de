"""The tokens that each device holds when a sequence is split over devices."""

from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32, Integer

from ..._checks import check_flags
from ..._public import public
from .shards import checked_shard, checked_sizes, zigzag


@public
def context_parallel_indices(
    seq_len: SupportsIndex,
    num_shards: SupportsIndex,
    shard_index: SupportsIndex | Integer[Array | np.ndarray, ""],
    *,
    order: str,
) -> Int32[Array, " {seq_len}//{num_shards}"]:
    """The indices in a sequence of the tokens that one of several devices holds.

    In a sequence of one document they are its positions. For packed documents, give
    them to `positions_of_tokens`.

    Args:
        seq_len: Number of tokens of the whole sequence. A multiple of `num_shards`, and
            of twice that for `"zigzag"`.
        num_shards: Number of devices over which the sequence is split.
        shard_index: Index of the device among them; `jax.lax.axis_index` within
            `jax.shard_map`.
        order: The tokens of device `i` of `n`. `"contiguous"`: chunk `i` of `n` equal
            ones. `"zigzag"`: chunks `i` and `2 n - 1 - i` of `2 n` equal ones, which
            balances causal attention (Llama 3, Megatron-LM, ring-flash-attention).
            `"striped"`: the tokens `i`, `i + n`, `i + 2 n` and so on.

    Returns:
        The indices, in the order in which the device holds the tokens. A traced
        `shard_index` out of range gives -1, which is no index.

    Raises:
        ValueError: If `order` is unknown; if a size is not positive, or does not
            divide; if a known `shard_index` is out of range.

    Example:
        >>> context_parallel_indices(8, 2, 0, order="zigzag")
        Array([0, 1, 6, 7], dtype=int32)

    Reference:
        Llama Team, The Llama 3 Herd of Models, 2024, section 3.3.2.
        https://arxiv.org/abs/2407.21783. Brandon et al., Striped Attention, 2023.
        https://arxiv.org/abs/2311.09431
    """
    seq_len, num_shards = checked_sizes(seq_len, num_shards, order)
    shard = checked_shard(shard_index, num_shards)
    places = lax.iota(jnp.int32, seq_len // num_shards)
    indices = _indices(places, seq_len, num_shards, shard, order)
    return jnp.where(shard < 0, -1, indices)


@public
def context_parallel_permutation(
    seq_len: SupportsIndex,
    num_shards: SupportsIndex,
    *,
    order: str,
    inverse: bool = False,
) -> Int32[np.ndarray, " {seq_len}"]:
    """The order in which a sequence goes to devices that split it in equal chunks.

    `x[:, permutation]`, split into `num_shards` chunks, gives each device its tokens.
    Take it where the data are loaded, before they are sharded.

    Args:
        seq_len: Number of tokens of the whole sequence, as in
            `context_parallel_indices`.
        num_shards: Number of devices over which the sequence is split.
        order: The order of `context_parallel_indices`.
        inverse: True returns the permutation back to the order of the sequence.

    Returns:
        A NumPy array with the indices of all devices, one device after another.

    Raises:
        ValueError: If `order` is unknown, or a size is not positive or does not divide.

    Example:
        >>> context_parallel_permutation(8, 2, order="zigzag").tolist()
        [0, 1, 6, 7, 2, 3, 4, 5]
        >>> context_parallel_permutation(8, 2, order="zigzag", inverse=True).tolist()
        [0, 1, 4, 5, 6, 7, 2, 3]

    Reference:
        Llama Team, The Llama 3 Herd of Models, 2024, section 3.3.2.
        https://arxiv.org/abs/2407.21783
    """
    check_flags(inverse=inverse)
    seq_len, num_shards = checked_sizes(seq_len, num_shards, order)
    places = np.arange(seq_len // num_shards, dtype=np.int32)
    shard = np.arange(num_shards, dtype=np.int32)[:, None]
    permutation = _indices(places, seq_len, num_shards, shard, order).reshape(-1)
    return np.argsort(permutation).astype(np.int32) if inverse else permutation


def _indices(places, seq_len, num_shards, shard, order):
    """The tokens at `places` of a shard, in NumPy or JAX."""
    size = seq_len // num_shards
    if order == "contiguous":
        return shard * size + places
    if order == "striped":
        return places * num_shards + shard
    return zigzag(places, size, num_shards, shard)
