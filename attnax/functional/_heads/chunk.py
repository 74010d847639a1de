"""Chunks of the vocabulary: their rows, their logits, and loops over them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from ..._sharding import whole_along
from .._tables.logits import logits_product


class Chunk(NamedTuple):
    """Some rows of a table, or of a shard of it.

    Attributes:
        start: The first row, traced.
        num_rows: Number of rows.
        skipped: How many of the first rows are in the chunk before.
        own: A mask of the rows that are tokens and not skipped; `None` if all are.
    """

    start: Array
    num_rows: int
    skipped: Array | int
    own: Array | None

    def rows(self, table):
        """The rows of a table, with their whole width."""
        rows = lax.dynamic_slice_in_dim(table, self.start, self.num_rows)
        return whole_along(rows, -1)

    def logits(self, head, arrays, rows=None):
        """Logits `(*batch, num_rows)` in the dtype of sums.

        `rows` are those of the table, where they are at hand.
        """
        weight, bias, hidden = arrays
        rows = self.rows(weight) if rows is None else rows
        logits = logits_product(
            hidden, rows, head.operand, head.dtype, head.precision, None
        )
        if bias is not None:
            bias = lax.dynamic_slice_in_dim(bias, self.start, self.num_rows)
            logits = logits + _last(bias.astype(head.dtype), logits.ndim)
        if head.logit_scale is not None:
            logits = head.logit_scale * logits
        if head.soft_cap is not None:
            logits = head.soft_cap * jnp.tanh(logits / head.soft_cap)
        return logits

    def only_own(self, values, otherwise):
        """`values` `(*batch, num_rows)`, with a number in the rows not its own."""
        if self.own is None:
            return values
        otherwise = jnp.full_like(values, otherwise)
        return jnp.where(_last(self.own, values.ndim), values, otherwise)

    def holds(self, rows):
        """Whether it is the first chunk with these rows of the table or shard."""
        place = rows - self.start
        return (place >= self.skipped) & (place < self.num_rows)

    def at(self, rows, values):
        """`values` `(*batch, num_rows)` at `rows` `(*batch)`; of any row elsewhere."""
        place = jnp.clip(rows - self.start, 0, self.num_rows - 1)
        return jnp.take_along_axis(values, place[..., None], axis=-1)[..., 0]

    def only_at(self, rows, values):
        """`values` `(*batch, num_rows)` at `rows` `(*batch)`, and 0 elsewhere."""
        at = _last(self.start + lax.iota(jnp.int32, self.num_rows), values.ndim)
        return jnp.where(at == rows[..., None], values, jnp.zeros_like(values))


def over_chunks(head, shard, step, init, *, tables=None, checkpoint=False):
    """The last of `carry = step(carry, chunk, rows)` over chunks of a table or a shard.

    `rows` are those of the chunk in each of `tables`. The transpose puts each chunk of
    them beside the others, where that of a slice would add it to a whole table. With
    `checkpoint`, a transpose keeps nothing of a step but the carry.
    """
    table_rows = head.vocab_size if shard is None else shard.num_rows
    num_chunks, num_rows = chunk_sizes(table_rows, head.chunk_size)

    def rows_of_chunks(table):
        table = table[:table_rows]
        if num_chunks * num_rows > table_rows:
            before = table[: (num_chunks - 1) * num_rows]
            table = jnp.concatenate([before, table[-num_rows:]])
        return table.reshape(num_chunks, num_rows, *table.shape[1:])

    def body(carry, xs):
        index, rows = xs
        first = index * num_rows
        start, skipped, own = first, 0, None
        if num_chunks * num_rows > table_rows:  # the last chunk overlaps another
            start = jnp.minimum(first, table_rows - num_rows)
            skipped = first - start
            own = lax.iota(jnp.int32, num_rows) >= skipped
        tokens = rows_of_tokens(head, shard, start, num_rows)
        if tokens is not None:
            own = tokens if own is None else own & tokens
        return step(carry, Chunk(start, num_rows, skipped, own), rows), None

    if checkpoint:
        body = jax.checkpoint(body, prevent_cse=False)
    xs = lax.iota(jnp.int32, num_chunks), jax.tree.map(rows_of_chunks, tables)
    return lax.scan(body, init, xs)[0]


def chunk_sizes(table_rows, chunk_size):
    """The number of chunks, as even as can be, and the rows of each."""
    num_rows = -(-table_rows // -(-table_rows // chunk_size))
    # Matrix units want multiples of 8.
    num_rows = min(-(-num_rows // 8) * 8, chunk_size, table_rows)
    return -(-table_rows // num_rows), num_rows


def rows_of_tokens(head, shard, start, num_rows):
    """A mask of rows from `start` on that are tokens; `None` if all of a table are."""
    if shard is None or head.vocab_size == head.table_rows:
        return None
    rows = shard.first_row() + start + lax.iota(jnp.int32, num_rows)
    return rows < head.vocab_size


def _last(values, rank):
    """`values` along the last of `rank` axes."""
    return values.reshape((1,) * (rank - 1) + values.shape)
