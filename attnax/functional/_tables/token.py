"""Token embedding: a table with one row per token, and the lookup in it."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import (
    check_flags,
    check_key,
    check_out_sharding,
    check_params,
    integer,
    is_number,
    number,
    positive_integer,
    row_indices,
)
from ..._dtypes import default_float_dtype, float_dtype, result_dtype
from ..._public import public
from ..._sharding import per_row
from ..._vocab_axis import num_table_rows
from .draw import drawn_table
from .lookup import lookup_rows
from .over_shards import lookup_over_shards
from .selected import SelectedRows, check_looked_up


class TokenEmbeddingParams(NamedTuple):
    """Parameters of a token embedding.

    Attributes:
        weight: One row per token id.
    """

    weight: Float[Array, "vocab_size d_model"]


@public
def init_token_embedding(
    key: PRNGKeyArray,
    vocab_size: SupportsIndex,
    d_model: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
    padding_id: SupportsIndex | None = None,
    out_sharding: NamedSharding | None = None,
) -> TokenEmbeddingParams:
    """Draws a token embedding from a normal distribution of mean 0.

    Args:
        key: A JAX random key.
        vocab_size: Number of tokens. Positive.
        d_model: Width of the embedding. Positive.
        init_std: Standard deviation. Not negative.
        dtype: Dtype of the table, which is drawn in float32 or wider and rounded once.
            `None` is JAX's default float.
        padding_id: Token whose row starts as zeros, in `[0, vocab_size)`. Pass it to
            `apply_token_embedding` too.
        out_sharding: Sharding of the table. Each device makes its own shard, and the
            values do not depend on the mesh. Where a shard has fewer columns than a
            vector register holds, the last bits may depend on the mesh.

    Returns:
        Parameters with a `weight` of shape `(vocab_size, d_model)`.

    Raises:
        ValueError: If `key` is not one random key, a size is not a positive integer,
            `init_std` is negative, `dtype` is not a real float, `padding_id` is outside
            the vocabulary, or `out_sharding` is not a `NamedSharding`.

    Example:
        >>> init_token_embedding(jax.random.key(0), 10, 4).weight.shape
        (10, 4)

    Reference:
        Radford et al., Language Models are Unsupervised Multitask Learners, 2019; the
        default `init_std` is that of the released GPT-2.
        https://openai.com/index/better-language-models
    """
    check_key(key)
    shape = (
        positive_integer("vocab_size", vocab_size),
        positive_integer("d_model", d_model),
    )
    if padding_id is not None:
        padding_id = integer("padding_id", padding_id, 0, shape[0] - 1)
    check_out_sharding(out_sharding, (NamedSharding,))
    weight = drawn_table(
        key,
        shape,
        init_std=number("init_std", init_std, 0),
        dtype=result_dtype("dtype", dtype, default_float_dtype()),
        zero_rows=None if padding_id is None else (padding_id, padding_id + 1),
        out_sharding=out_sharding,
    )
    return TokenEmbeddingParams(weight=weight)


@public
def apply_token_embedding(
    params: TokenEmbeddingParams,
    token_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
    *,
    dtype: DTypeLike | None = None,
    scale: SupportsFloat | None = None,
    scale_dtype: DTypeLike | None = None,
    padding_id: SupportsIndex | None = None,
    mask_padding: bool | np.bool_ = False,
    valid_vocab_size: SupportsIndex | None = None,
    vocab_axis: str | tuple[str, ...] | None = None,
    scatter_axis: SupportsIndex | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*rows d_model"]:
    """Looks up the row of each token, scales it in float32 and rounds it once.

    The gradient of the table is the sum over all ids of the call. It is added up in
    float32 and rounded once to the dtype of the table, whatever `dtype` is. JAX adds up
    the gradients of several calls, or of the steps of a scan, in the dtype of the
    table.

    Args:
        params: A table `(vocab_size, d_model)`.
        token_ids: Ids in `[0, vocab_size)`, of any shape and any integer dtype.
        dtype: Dtype of the result. `None` is that of the table.
        scale: Factor of each row; Gemma uses `d_model ** 0.5`. `None` is no factor.
        scale_dtype: Dtype to which `scale` itself is rounded. `None` is that of the
            arithmetic. Gemma rounds to bfloat16: 55.4256 becomes 55.5.
        padding_id: Token whose row gets no gradient, in `[0, vocab_size)`. The lookup
            still reads the row.
        mask_padding: Whether `padding_id` gives zeros, whatever its row holds. True
            needs a `padding_id`.
        valid_vocab_size: Number of tokens of a table with more rows, such as one of
            `pad_vocabulary`. Ids from it on are out of range. `None` is the number of
            rows.
        vocab_axis: Mesh axis, or tuple of axes, over which the rows of the table are
            sharded. Each shard looks up its own rows, and one sum joins them; the
            table is never moved, nor its gradient summed over these axes. Inside a
            `jax.shard_map` that is manual over the axis, `params` hold the shard and
            `token_ids` are the same on every shard. With its `check_vma=False`, JAX
            cannot tell either, and a `jax.grad` inside it is too large by the number of
            shards. `None` leaves the table to JAX.
        scatter_axis: Axis of the ids along which the shards of `vocab_axis` divide the
            rows, as in sequence parallelism. `None` gives all rows to every shard,
            unless `out_sharding` or the ids lie on `vocab_axis` under explicit axes.
        out_sharding: Sharding of the result, under a mesh with explicit axes. `None` is
            that of the ids, with `d_model` not sharded.

    Returns:
        One row per id. A traced id outside the vocabulary gives a row of NaN, which
        adds nothing to the gradient. With a `scatter_axis` inside `jax.shard_map`, each
        shard has its part of the rows.

    Raises:
        ValueError: If the ids are not integers, an id that is known outside every
            transformation is out of range, a dtype is not a real float,
            `valid_vocab_size` is not between 1 and the number of rows, `padding_id`
            is outside the vocabulary, `scale` is not finite in `scale_dtype`, the mesh
            lacks `vocab_axis`, its shards do not divide the rows of the table or the
            `scatter_axis`, or an option lacks the one that it needs.

    Example:
        >>> params = TokenEmbeddingParams(weight=jnp.eye(3))
        >>> apply_token_embedding(params, jnp.array([2, 0]))
        Array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.4.
        https://arxiv.org/abs/1706.03762; `vocab_axis`: Shoeybi et al., Megatron-LM,
        2019, section 3. https://arxiv.org/abs/1909.08053; `scatter_axis`: Korthikanti
        et al., 2022, section 4.2.2. https://arxiv.org/abs/2205.05198
    """
    check_params(params, TokenEmbeddingParams)
    weight = params.weight
    check_looked_up("params.weight", weight)
    if vocab_axis is not None and isinstance(weight, SelectedRows):
        raise ValueError(f"{vocab_axis=} must be None for selected rows, in no shards.")
    dtype = result_dtype("dtype", dtype, weight.dtype)
    vocab_size = vocabulary_of(weight, valid_vocab_size, vocab_axis)
    if padding_id is not None:
        padding_id = integer("padding_id", padding_id, 0, vocab_size - 1)
    check_flags(mask_padding=mask_padding)
    if mask_padding and padding_id is None:
        raise ValueError(f"{mask_padding=} must come with a padding_id.")
    if scale is None and scale_dtype is not None:
        raise ValueError(f"{scale_dtype=} must come with a scale.")
    if scale_dtype is not None:
        scale_dtype = float_dtype("scale_dtype", scale_dtype)
    check_out_sharding(out_sharding)
    if scatter_axis is not None and vocab_axis is None:
        raise ValueError(f"{scatter_axis=} must come with a vocab_axis.")
    ids = row_indices("token_ids", token_ids, vocab_size)

    def finish(rows):
        if scale is not None:
            rows = rows * rounded_scale(scale, scale_dtype or rows.dtype, rows.dtype)
        return rows.astype(dtype)

    if vocab_axis is not None:
        return lookup_over_shards(
            weight,
            ids,
            finish,
            vocab_axis=vocab_axis,
            scatter_axis=scatter_axis,
            frozen_row=padding_id,
            mask_frozen=bool(mask_padding),
            out_sharding=out_sharding,
        )
    rows = finish(
        lookup_rows(weight, ids, frozen_row=padding_id, out_sharding=out_sharding)
    )
    if mask_padding:
        is_padding = per_row(ids == padding_id, rows)
        rows = jnp.where(is_padding, jnp.zeros_like(rows), rows)
    return rows


def vocabulary_of(weight, valid_vocab_size, vocab_axis=None):
    """The number of tokens of a table: all its rows, or the first few of them."""
    num_rows = num_table_rows(weight, vocab_axis)
    if valid_vocab_size is None:
        return num_rows
    return integer("valid_vocab_size", valid_vocab_size, 1, num_rows)


def rounded_scale(scale, rounded_to, dtype):
    """A factor of rows, rounded to one dtype, where it must be finite, then another."""
    rounded = None
    if is_number(scale):
        with np.errstate(over="ignore"):
            rounded = np.array(scale).astype(rounded_to)
    if rounded is None or not np.isfinite(rounded):
        raise ValueError(
            f"{scale=} must be a number that is finite in "
            f"{np.dtype(rounded_to).name}; multiply the result by an array yourself."
        )
    return rounded.astype(dtype)
