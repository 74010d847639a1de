"""The tied head: logits from the array that the lookup of tokens reads."""

from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ..._checks import (
    check_out_sharding,
    check_params,
    check_precision,
    check_table,
    check_width,
    float_array,
    number,
)
from ..._dtypes import compute_dtype as wide_dtype
from ..._dtypes import result_dtype
from ..._public import public
from ..._sharding import explicit_axes, sharding_like, spread
from ..._vocab_axis import axis_names, num_table_rows, on_shards
from .logits import dtype_of_product, logits_product
from .token import TokenEmbeddingParams, vocabulary_of


@public
def apply_token_unembedding(
    params: TokenEmbeddingParams,
    x: Float[Array | np.ndarray, "*batch d_model"],
    *,
    dtype: DTypeLike | None = None,
    accumulation_dtype: DTypeLike | None = None,
    soft_cap: SupportsFloat | None = None,
    compute_dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    valid_vocab_size: SupportsIndex | None = None,
    vocab_axis: str | tuple[str, ...] | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch vocab_size"]:
    """Logits of the tied head: `x @ weight.T`, on the array that the lookup reads.

    A float32 table is rounded to the dtype of 16-bit hidden states before the product,
    which adds up in float32. The logits are then off by at most 2**-8 (bfloat16) or
    2**-11 (float16, for tables of numbers from 6.2e-5 to 65504) of the sum of
    magnitudes `|x| @ |weight|.T`. The gradient of the table is added up in float32 and
    not rounded. Other operands of different dtypes are widened, never narrowed.

    Args:
        params: A table `(vocab_size, d_model)`.
        x: Hidden states.
        dtype: Dtype of the logits, which are rounded once, at the end. `None` is that
            of `x`; `jnp.float32` leaves the logits of bfloat16 hidden states unrounded.
        accumulation_dtype: Dtype in which products are added up and the soft-cap is
            taken. `None` is float32, or float64 for float64 operands.
        soft_cap: Bound of the logits, `soft_cap * tanh(logits / soft_cap)`. Positive
            and finite. `None` is no bound.
        compute_dtype: Dtype in which `x` and the table are multiplied. `None` is that
            of `x` if the table has the same dtype, or if `x` has 16 bits and the table
            more; otherwise it is float32, or float64 if an operand is. `jnp.float32`
            multiplies a float32 table as it is.
        precision: Precision of the matrix product, as in `jax.lax.dot_general`.
        valid_vocab_size: Number of tokens of a table with more rows, such as one of
            `pad_vocabulary`. The logits of the other rows are -inf, or the lowest
            number of a `dtype` without infinities, so that they have no part in a
            softmax or an argmax, and the rows get no gradient. `None` is the number of
            rows.
        vocab_axis: Mesh axis, or tuple of axes, over which the rows of the table are
            sharded, and so the logits. The gradient of `x` is one float32 sum over
            these axes, and that of the table stays where its rows are. Inside a
            `jax.shard_map` that is manual over the axis, `params` hold the shard and
            `x` is the same on every shard. `None` leaves the table to JAX.
        out_sharding: Sharding of the logits, under a mesh with explicit axes.

    Returns:
        One logit per row of the table, or of the shard inside `jax.shard_map`.

    Raises:
        ValueError: If `soft_cap` is not positive and finite, a dtype (that of `x`
            included) is not a real float, the widths of `x` and the table differ,
            `valid_vocab_size` is not between 1 and the number of rows, the mesh lacks
            `vocab_axis` or its shards do not divide the rows, or `precision` is
            unknown.

    Example:
        >>> params = TokenEmbeddingParams(weight=jnp.eye(3)[:2])
        >>> apply_token_unembedding(params, jnp.array([1.0, 2.0, 3.0]))
        Array([1., 2.], dtype=float32)

    Reference:
        Press and Wolf, Using the Output Embedding, 2016.
        https://arxiv.org/abs/1608.05859; soft-cap: Gemma 2, 2024, section 2.
        https://arxiv.org/abs/2408.00118; 16-bit products of a float32 table:
        Micikevicius et al., Mixed Precision Training, 2017, section 3.1.
        https://arxiv.org/abs/1710.03740
    """
    check_params(params, TokenEmbeddingParams)
    weight = params.weight
    check_table("params.weight", weight)
    x = jnp.asarray(float_array("x", x, "d_model"))
    check_width("x", x, "params.weight", weight)
    if soft_cap is not None:
        soft_cap = number("soft_cap", soft_cap, positive=True)
    dtype = result_dtype("dtype", dtype, x.dtype)
    default = dtype_of_product(x.dtype, weight.dtype)
    compute_dtype = result_dtype("compute_dtype", compute_dtype, default)
    accumulation_dtype = result_dtype(
        "accumulation_dtype", accumulation_dtype, wide_dtype(compute_dtype)
    )
    check_precision(precision)
    vocab_size = vocabulary_of(weight, valid_vocab_size, vocab_axis)
    has_padding = vocab_size < num_table_rows(weight, vocab_axis)
    check_out_sharding(out_sharding)

    def logits_of(x, weight, first_row=0, out_sharding=None):
        logits = logits_product(
            x, weight, compute_dtype, accumulation_dtype, precision, out_sharding
        )
        if soft_cap is not None:
            logits = soft_cap * jnp.tanh(logits / soft_cap)
        logits = logits.astype(dtype)
        return masked_logits(logits, vocab_size, first_row) if has_padding else logits

    if vocab_axis is None:
        return logits_of(x, weight, out_sharding=out_sharding)
    logits = on_shards(
        # Widened, so that the gradients of the shards are added up before they are
        # rounded to the dtype of `x`.
        lambda shard, weight, x: logits_of(x, weight, shard.first_row()),
        vocab_axis,
        {"params.weight": weight},
        {"x": x.astype(wide_dtype(x.dtype))},
        num_batch_axes=x.ndim - 1,
        out_specs=PartitionSpec(*[None] * (x.ndim - 1), axis_names(vocab_axis)),
    )
    return spread(logits, out_sharding)


def masked_logits(logits, vocab_size, first_row=0):
    """Logits of rows from `first_row` on, with -inf for those from `vocab_size` on.

    Where the dtype has no infinity, it is the lowest number.
    """
    with np.errstate(invalid="ignore"):  # float8_e4m3fn has no infinity
        lowest = np.array(-np.inf).astype(logits.dtype)
    if not np.isneginf(lowest):
        lowest = np.array(jnp.finfo(logits.dtype).min)
    sharding = sharding_like(logits, explicit_axes(logits))
    token = lax.broadcasted_iota(
        jnp.int32, logits.shape, logits.ndim - 1, out_sharding=sharding
    )
    return jnp.where(token < vocab_size - first_row, logits, lowest)
