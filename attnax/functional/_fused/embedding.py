"""Fused embedding: a row from each of several tables that lie in one array."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray, Real

from ..._checks import (
    check_key,
    check_out_sharding,
    check_params,
    choice,
    number,
    positive_integer,
)
from ..._dtypes import default_float_dtype, float_dtype, result_dtype
from ..._public import public
from ..._sharding import spread
from ..._vocab_axis import num_table_rows
from .._tables.draw import drawn_table
from .._tables.lookup import lookup_rows
from .._tables.over_shards import lookup_over_shards
from .._tables.selected import SelectedRows, check_looked_up
from .combine import combined, sharding_before
from .fused_sum import fused_sum, has_fused_sum
from .offsets import checked_row_counts, fused_indices, padded_rows
from .quantized import QuantizedTableParams, check_quantized, lookup_quantized
from .rounding import step_dtype


class FusedEmbeddingParams(NamedTuple):
    """Parameters of a fused embedding.

    Attributes:
        weight: The rows of the first table, then those of the second, and so on.
    """

    weight: Float[Array, "num_rows d_model"]


@public
def init_fused_embedding(
    key: PRNGKeyArray,
    row_counts: Sequence[SupportsIndex] | np.ndarray,
    d_model: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
    row_multiple: SupportsIndex = 1,
    out_sharding: NamedSharding | None = None,
) -> FusedEmbeddingParams:
    """Draws several tables in one array from a normal distribution of mean 0.

    Args:
        key: A JAX random key.
        row_counts: Number of rows of each table. Positive.
        d_model: Width of the rows. Positive.
        init_std: Standard deviation. Not negative.
        dtype: Dtype of the array, which is drawn in float32 or wider and rounded once.
            `None` is JAX's default float.
        row_multiple: Number that divides the number of rows of the array, such as that
            of the devices that share it. Rows of zeros follow the tables.
        out_sharding: Sharding of the array. Each device makes its own shard, and the
            values do not depend on the mesh.

    Returns:
        Parameters with a `weight` of shape `(num_rows, d_model)`.

    Raises:
        ValueError: If `key` is not one random key, a size is not a positive integer,
            there are `2**31` rows or more, `init_std` is negative, `dtype` is not a
            real float, or `out_sharding` is not a `NamedSharding`.

    Example:
        >>> key = jax.random.key(0)
        >>> init_fused_embedding(key, (5, 3, 7), 4, row_multiple=8).weight.shape
        (16, 4)

    Reference:
        Copet et al., Simple and Controllable Music Generation, 2023, section 2.
        https://arxiv.org/abs/2306.05284
    """
    check_key(key)
    counts = checked_row_counts(row_counts)
    shape = padded_rows(counts, row_multiple), positive_integer("d_model", d_model)
    check_out_sharding(out_sharding, (NamedSharding,))
    weight = drawn_table(
        key,
        shape,
        init_std=number("init_std", init_std, 0),
        dtype=result_dtype("dtype", dtype, default_float_dtype()),
        zero_rows=(sum(counts), shape[0]) if shape[0] > sum(counts) else None,
        out_sharding=out_sharding,
    )
    return FusedEmbeddingParams(weight=weight)


@public
def apply_fused_embedding(
    params: FusedEmbeddingParams | QuantizedTableParams,
    ids: Integer[Array | np.ndarray, "*batch num_tables"] | Sequence,
    *,
    row_counts: Sequence[SupportsIndex] | np.ndarray | None = None,
    combine: Literal["sum", "mean", "concatenate"] | None = "sum",
    factors: Real[Array | np.ndarray, "*factors"]
    | Sequence
    | SupportsFloat
    | None = None,
    dtype: DTypeLike | None = None,
    accumulation_dtype: DTypeLike | None = None,
    vocab_axis: str | tuple[str, ...] | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "..."]:
    """Looks up a row in each of several tables, and adds them up or joins them.

    Rows are added up in float32, the first table first, and the sum is rounded once.
    The gradient of the tables is added up in float32 over all ids of the call, and is
    rounded once too.

    Args:
        params: An array `(num_rows, d_model)` of tables, or a quantized one.
        ids: Integers of any dtype. The last axis has one for each table.
        row_counts: Number of rows of each table, which counts its ids from 0.
            `None` says that the ids are rows of the array, as `ngram_row_ids` gives
            them.
        combine: `"sum"` and `"mean"` of the rows, `"concatenate"` for the rows side by
            side, or `None` for an axis of tables.
        factors: Factors of the rows, such as weights or the signs of hashes: a number,
            list or array that broadcasts to `ids`. `None` is no factor.
        dtype: Dtype of the result. `None` is that of the array, or float32 where it is
            quantized.
        accumulation_dtype: Dtype of 16 bits or more to which the sum is rounded after
            each addition. `None` is that of the arithmetic. MusicGen, Moshi and BLT as
            released in bfloat16 round each time, and CSM and Dia do not.
        vocab_axis: Mesh axis, or tuple of axes, over which the rows of the array are
            sharded, as in `apply_token_embedding`. Rows cross devices before they are
            added up, so that a sum has the same bits on every mesh. A quantized array
            takes none.
        out_sharding: Sharding of the result, under a mesh with explicit axes. `None` is
            that of the ids, with rows that are not sharded.

    Returns:
        `(*batch, d_model)` for a sum or a mean, `(*batch, num_tables * d_model)` side
        by side, or `(*batch, num_tables, d_model)`. A traced id outside its own table
        makes NaN of its row, and so of the sum.

    Raises:
        ValueError: If the ids are not integers, an id that is known outside every
            transformation is out of range, `row_counts` does not fit the ids or the
            array, `combine` is unknown, `factors` does not broadcast to the ids, a
            dtype is not a real float, `accumulation_dtype` has 8 bits or comes without
            a sum, the mesh lacks `vocab_axis`, its shards do not divide the rows, the
            array is quantized or holds selected rows and it is not `None`, or
            `out_sharding` is not a sharding.

    Example:
        >>> params = FusedEmbeddingParams(weight=jnp.eye(5))
        >>> ids = jnp.array([[1, 0]])  # row 1 of two rows, and row 0 of three
        >>> apply_fused_embedding(params, ids, row_counts=(2, 3))
        Array([[0., 1., 1., 0., 0.]], dtype=float32)

    Reference:
        Sums of codebooks: Copet et al., Simple and Controllable Music Generation, 2023,
        section 2. https://arxiv.org/abs/2306.05284; rows side by side: Clark et al.,
        CANINE, 2021, section 3.1. https://arxiv.org/abs/2103.06874
    """
    quantized = isinstance(params, QuantizedTableParams)
    if quantized:
        check_quantized(params)
    else:
        check_params(params, FusedEmbeddingParams)
        check_looked_up("params.weight", params.weight)
    whole = quantized or isinstance(params.weight, SelectedRows)
    if vocab_axis is not None and whole:
        kind = "a quantized array" if quantized else "selected rows"
        raise ValueError(f"{vocab_axis=} must be None for {kind}, in no shards.")
    default = jnp.float32 if quantized else params.weight.dtype
    dtype = result_dtype("dtype", dtype, default)
    choice("combine", combine, ("sum", "mean", "concatenate", None))
    is_sum = combine in ("sum", "mean")
    if accumulation_dtype is not None:
        accumulation_dtype = step_dtype(
            float_dtype("accumulation_dtype", accumulation_dtype), "accumulation_dtype"
        )
        if not is_sum:
            raise ValueError(f"{accumulation_dtype=!s} must come with a sum or a mean.")
    check_out_sharding(out_sharding)
    num_rows = num_table_rows(params.weight, vocab_axis)
    indices = fused_indices(ids, row_counts, num_rows)
    of_rows = sharding_before(out_sharding, indices.ndim, combine)
    is_plain = is_sum and factors is None and vocab_axis is None and not whole
    if is_plain and has_fused_sum(params.weight, indices):
        rows = fused_sum(params.weight, indices, accumulation_dtype)
    else:
        rows = _rows_of_tables(params, indices, vocab_axis, of_rows)
        rows = combined(rows, indices, combine, factors, accumulation_dtype)
    if combine == "mean":
        rows = rows / indices.shape[-1]
    return spread(rows.astype(dtype), out_sharding)


def _rows_of_tables(params, indices, vocab_axis, out_sharding):
    """The rows `(*batch, num_tables, d_model)`, in the compute dtype."""
    if isinstance(params, QuantizedTableParams):
        return lookup_quantized(params, indices, out_sharding=out_sharding)
    if vocab_axis is None:
        return lookup_rows(params.weight, indices, out_sharding=out_sharding)
    return lookup_over_shards(
        params.weight,
        indices,
        lambda rows: rows,
        vocab_axis=vocab_axis,
        out_sharding=out_sharding,
        name="ids",
    )
