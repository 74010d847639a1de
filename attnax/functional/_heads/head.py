"""The settings and arrays of a head, checked once for losses and for decoding."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._checks import (
    check_precision,
    check_table,
    check_width,
    float_array,
    number,
    positive_integer,
)
from ..._dtypes import compute_dtype as wide_dtype
from ..._dtypes import result_dtype
from ..._sharding import explicit_axes, sharding_like, whole_along
from ..._vocab_axis import num_table_rows, on_shards
from .._tables.logits import dtype_of_product
from .._tables.token import vocabulary_of


class Head(NamedTuple):
    """Static settings of a head.

    Attributes:
        vocab_size: Number of tokens; further rows of the table are not read.
        table_rows: Number of rows of the table, of all its shards together.
        chunk_size: The most rows of a chunk.
        logit_scale: Factor of the logits, or `None`.
        soft_cap: Bound of the logits, or `None`.
        operand: Dtype in which hidden states and the table are multiplied.
        precision: Precision of that product.
        vocab_axis: Mesh axes over which the rows of the table are sharded, or `None`.
    """

    vocab_size: int
    table_rows: int
    chunk_size: int
    logit_scale: float | None
    soft_cap: float | None
    operand: np.dtype
    precision: Any
    vocab_axis: Any

    @property
    def dtype(self):
        """Dtype of logits and sums."""
        return wide_dtype(self.operand)


class HeadArrays(NamedTuple):
    """Arrays of a head: a table, numbers of its rows or `None`, and hidden states."""

    weight: Array
    bias: Array | None
    hidden: Array


def head_of(
    weight,
    hidden,
    *,
    chunk_size,
    bias,
    logit_scale,
    soft_cap,
    valid_vocab_size,
    compute_dtype,
    precision,
    vocab_axis,
):
    """Checks the arguments of a head; returns a `Head` and its `HeadArrays`."""
    arrays = _arrays_of(weight, hidden, bias)
    weight, _, hidden = arrays
    chunk_size = positive_integer("chunk_size", chunk_size)
    if logit_scale is not None:
        logit_scale = number("logit_scale", logit_scale, positive=True)
    if soft_cap is not None:
        soft_cap = number("soft_cap", soft_cap, positive=True)
    if vocab_axis is None:
        # An explicit mesh tells where the rows are.
        vocab_axis = (explicit_axes(weight) or (None,))[0]
    default = dtype_of_product(hidden.dtype, weight.dtype)
    check_precision(precision)
    head = Head(
        vocab_size=vocabulary_of(weight, valid_vocab_size, vocab_axis),
        table_rows=num_table_rows(weight, vocab_axis),
        chunk_size=chunk_size,
        logit_scale=logit_scale,
        soft_cap=soft_cap,
        operand=result_dtype("compute_dtype", compute_dtype, default),
        precision=precision,
        vocab_axis=vocab_axis,
    )
    return head, arrays


def _arrays_of(weight, hidden, bias):
    check_table("weight", weight)
    float_array("hidden", hidden, "d_model")
    check_width("hidden", hidden, "weight", weight)
    if bias is not None:
        float_array("bias", bias)
        if bias.shape != weight.shape[:1]:
            raise ValueError(
                f"{bias.shape=} must be {weight.shape[:1]}, one number for each row of "
                "weight."
            )
        bias = jnp.asarray(bias)
    return HeadArrays(jnp.asarray(weight), bias, whole_along(jnp.asarray(hidden), -1))


def on_table(head, function, arrays, **of_tokens):
    """`function(shard, arrays, *of_tokens)` on every shard of a table.

    Without a `vocab_axis` the table is one piece, and `shard` is `None`.
    """
    if head.vocab_axis is None:
        return function(None, arrays, *of_tokens.values())

    def run(shard, weight, bias, hidden, *of_tokens):
        return function(shard, HeadArrays(weight, bias, hidden), *of_tokens)

    tables = {"weight": arrays.weight, "bias": arrays.bias}
    same = {"hidden": arrays.hidden, **of_tokens}
    out = on_shards(
        run, head.vocab_axis, tables, same, num_batch_axes=arrays.hidden.ndim - 1
    )
    return jax.tree.map(lambda x: placed_as(arrays.hidden, x), out)


def placed_as(hidden, x):
    """`x` `(*batch, ...)` with its batch where the batch of `hidden` is."""
    axes = explicit_axes(hidden)
    if axes is None or not any((*axes, *(explicit_axes(x) or ()))):
        return x
    batch = axes[:-1]
    return jax.reshard(
        x, sharding_like(hidden, batch + (None,) * (x.ndim - len(batch)))
    )
