"""The log-sum-exp of logits by chunks, and its derivative by chunks.

Neither keeps logits: the derivative computes those of a chunk anew. It is a linear
function of tangents, which JAX runs forward or transposes. The transpose writes the
gradient of each row of the table once.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array

from ..._sharding import varying_like, whole_along
from .chunk import over_chunks


class LogitSums(NamedTuple):
    """What losses need of the logits of a token, each `(*batch)`.

    The log-sum-exp is `largest + log_sum`. The two are apart so that a loss is not
    rounded to the size of the logits: it is `log_sum + (largest - target)`.

    Attributes:
        largest: The largest logit, a constant for derivatives.
        log_sum: Logarithm of the sum of `exp(logits - largest)`.
        target: Logit of the target; 0 for a target outside the vocabulary.
        mean: Mean of the logits, or `None` if the loss does not need it.
    """

    largest: Array
    log_sum: Array
    target: Array
    mean: Array | None


@partial(jax.custom_jvp, nondiff_argnums=(0, 1, 2))
def logit_sums(head, with_mean, shard, arrays, targets):
    """`LogitSums` of the `HeadArrays` and int32 targets, -1 if out of range.

    On a shard of the vocabulary, the weight and the bias are its rows, and the sums are
    those over all shards.
    """
    arrays, targets = _on_device(shard, arrays, targets)
    lowest = float(jnp.finfo(head.dtype).min)  # finite: -inf - -inf would be NaN

    def step(sums, chunk, _):
        logits = chunk.logits(head, arrays)
        mean = sums.mean + _part_of_mean(head, chunk, logits) if with_mean else None
        logits = chunk.only_own(logits, lowest)
        largest = jnp.maximum(sums.largest, jnp.max(logits, axis=-1))
        before = sums.log_sum * jnp.exp(sums.largest - largest)
        total = before + jnp.sum(jnp.exp(logits - largest[..., None]), axis=-1)
        target = jnp.where(chunk.holds(targets), chunk.at(targets, logits), sums.target)
        return LogitSums(largest, total, target, mean)

    zeros = jnp.zeros_like(arrays.hidden[..., 0], head.dtype)
    init = LogitSums(zeros + lowest, zeros, zeros, zeros if with_mean else None)
    sums = over_chunks(head, shard, step, init)
    if shard is not None:
        largest = lax.pmax(sums.largest, shard.axis)
        total = sums.log_sum * jnp.exp(sums.largest - largest)
        of_all = lax.psum((total, sums.target, sums.mean), shard.axis)
        sums = LogitSums(largest, *of_all)
    return sums._replace(log_sum=jnp.log(sums.log_sum))


def _jvp(head, with_mean, shard, primals, tangents):
    sums = logit_sums(head, with_mean, shard, *primals)
    arrays, targets = _on_device(shard, *primals)
    # In 16 bits, the transpose would add up the chunks of a gradient in 16 bits.
    arrays = arrays._replace(hidden=arrays.hidden.astype(head.dtype))
    moving, by, rows_by = _moving(head, arrays, tangents[0])
    lowest = float(jnp.finfo(head.dtype).min)

    def step(moved, chunk, rows_by):
        def logits_of(moving, rows):
            logits = chunk.logits(head, arrays._replace(**moving), rows)
            return chunk.only_own(logits, lowest)

        rows = None
        if rows_by is not None:
            rows_by = whole_along(rows_by, -1)
            rows = chunk.rows(arrays.weight).astype(rows_by.dtype)
        logits, by_logits = jax.jvp(logits_of, (moving, rows), (by, rows_by))
        # Their sum would be rounded to the size of the logits.
        shares = jnp.exp(logits - sums.largest[..., None] - sums.log_sum[..., None])
        own = chunk.only_at(targets, by_logits)
        mean = _part_of_mean(head, chunk, by_logits) if with_mean else None
        parts = jnp.sum(shares * by_logits, axis=-1), jnp.sum(own, axis=-1), mean
        return jax.tree.map(jnp.add, moved, parts)

    zeros = jnp.zeros_like(arrays.hidden[..., 0])
    init = zeros, zeros, zeros if with_mean else None
    moved = over_chunks(head, shard, step, init, tables=rows_by, checkpoint=True)
    if shard is not None:
        moved = lax.psum(moved, shard.axis)
    return sums, LogitSums(jnp.zeros_like(sums.largest), *moved)


logit_sums.defjvp(_jvp, symbolic_zeros=True)


def _on_device(shard, arrays, targets):
    """The arrays with one type of varying axes, and targets as rows of the shard."""
    leaves = jax.tree.leaves(arrays)
    arrays = jax.tree.map(partial(varying_like, leaves), arrays)
    return arrays, targets if shard is None else shard.local(targets)[0]


def _moving(head, arrays, tangents):
    """The arrays that have a tangent, by their names, and these tangents.

    The tangent of a 16-bit table comes apart from them: XLA would add its gradient by
    each chunk to a whole table.
    """
    tangents = {
        name: tangent
        for name, tangent in tangents._asdict().items()
        if tangent is not None and not isinstance(tangent, SymbolicZero)
    }
    rows_by = None
    if arrays.weight.dtype.itemsize < 4:
        rows_by = tangents.pop("weight", None)
    moving = {name: getattr(arrays, name) for name in tangents}
    # Cast first, so that the transpose sums over devices before it rounds.
    alike = lambda x, tangent: varying_like((x,), tangent.astype(x.dtype))
    by = jax.tree.map(alike, moving, tangents)
    if rows_by is not None:
        varying = varying_like((arrays.weight,), rows_by)
        # Older CPU backends write 16-bit floats into a wide table.
        if varying is not rows_by or jax.__version_info__ < (0, 12):
            rows_by = rows_by.astype(head.dtype)
        rows_by = varying_like((arrays.weight,), rows_by)
    return moving, by, rows_by


def _part_of_mean(head, chunk, logits):
    return jnp.sum(chunk.only_own(logits, 0.0), axis=-1) / head.vocab_size
