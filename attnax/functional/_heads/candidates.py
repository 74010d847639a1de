"""The largest logits of all tokens, from those of each chunk and of each shard."""

import jax
import jax.numpy as jnp
from jax import lax

from .chunk import Chunk, chunk_sizes, rows_of_tokens


def largest_logits(head, k, shard, arrays):
    """The `k` largest logits of all shards together, and their ids.

    They are in the order of `jax.lax.top_k`; for `k=None`, the one of `jnp.argmax`.
    """
    table_rows = head.vocab_size if shard is None else shard.num_rows
    _, num_rows = chunk_sizes(table_rows, head.chunk_size)
    num_whole, rest = divmod(table_rows, num_rows)

    # The last chunk is shorter, and overlaps none: rows of two chunks, masked in one,
    # would tie with logits of -inf.
    def of_chunk(start, num_rows):
        own = rows_of_tokens(head, shard, start, num_rows)
        chunk = Chunk(start, num_rows, 0, own)
        logits = chunk.only_own(chunk.logits(head, arrays), -jnp.inf)
        values, place = _largest(logits, k)
        return values, start + place

    # Derivatives of the values keep no logits.
    of_whole_chunk = jax.checkpoint(
        lambda start: of_chunk(start, num_rows), prevent_cse=False
    )
    starts = lax.iota(jnp.int32, num_whole) * num_rows
    found = lax.map(of_whole_chunk, starts)
    values, ids = (_side_by_side(t) for t in found)
    if rest:
        more = of_chunk(jnp.int32(num_whole * num_rows), rest)
        values, ids = (
            jnp.concatenate(pair, axis=-1)
            for pair in zip((values, ids), more, strict=True)
        )
    values, ids = _chosen(values, ids, k)
    if shard is None:
        return values, ids
    values, ids = _of_all_shards(shard, values, ids + shard.first_row())
    return _chosen(values, ids, k)


def _largest(values, k):
    """At most `k` of `values`, and their places; equal ones in the order of places."""
    if k is not None:
        return lax.top_k(values, min(k, values.shape[-1]))
    place = jnp.argmax(values, axis=-1, keepdims=True).astype(jnp.int32)
    return jnp.take_along_axis(values, place, axis=-1), place


def _chosen(values, ids, k):
    values, place = _largest(values, k)
    return values, jnp.take_along_axis(ids, place, axis=-1)


def _side_by_side(found):
    """Candidates `(chunks, *batch, k)` as `(*batch, chunks * k)`."""
    found = jnp.moveaxis(found, 0, -2)
    *batch, chunks, k = found.shape
    return found.reshape(*batch, chunks * k)


def _of_all_shards(shard, *found):
    """Candidates of all shards, in the order of the shards."""
    return (
        lax.all_gather(x, shard.axis, axis=x.ndim - 1, tiled=True, to="invarying")
        for x in found
    )
