"""What the splits of a sequence over devices share: checks, and the zig-zag."""

import numpy as np

from ..._checks import INT32_MAX, choice, integer, positive_integer, row_indices

ORDERS = ("contiguous", "zigzag", "striped")


def checked_sizes(seq_len, num_shards, order, name="seq_len"):
    """Both sizes as ints, of which the second divides the first as `order` needs it."""
    choice("order", order, ORDERS)
    seq_len = integer(name, seq_len, 1, INT32_MAX)
    num_shards = positive_integer("num_shards", num_shards)
    unit = 2 * num_shards if order == "zigzag" else num_shards
    if seq_len % unit:
        times = "2 * " if order == "zigzag" else ""
        raise ValueError(
            f"{name}={seq_len} must be a multiple of {times}{num_shards=} for "
            f"{order=}; pad it to {-(-seq_len // unit) * unit} tokens."
        )
    return seq_len, num_shards


def checked_shard(shard_index, num_shards):
    """The index as an int32 scalar, or -1 for a traced one out of range."""
    shard = row_indices("shard_index", shard_index, num_shards)
    if shard.ndim:
        raise ValueError(
            f"shard_index.shape={shard.shape} must be (), one device; map over several."
        )
    return shard


def zigzag(places, size, num_shards, shard):
    """The tokens at `places` of a shard of so many tokens, in two chunks."""
    chunk_size = size // 2
    is_late = (places >= chunk_size).astype(np.int32)
    chunk = shard + is_late * (2 * (num_shards - shard) - 1)
    return places + (chunk - is_late) * chunk_size
