"""Token embedding: lookup, and the tied unembedding on the same array."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import (
    check_flags,
    check_params,
    check_table,
    is_integer,
    is_number,
    positive_integer,
)
from ..._dtypes import compute_dtype as wide_dtype
from ..._dtypes import default_float_dtype, float_dtype, result_dtype
from ..._public import public
from ..._sharding import per_row
from .lookup import lookup_rows, row_indices
from .token_product import logits_product


class TokenEmbeddingParams(NamedTuple):
    """Parameters of a token embedding.

    Attributes:
        weight: One row per token id.
    """

    weight: Float[Array, "vocab_size d_model"]


@public
def init_token_embedding(
    key: PRNGKeyArray,
    vocab_size: int,
    d_model: int,
    *,
    init_std: float = 0.02,
    dtype: DTypeLike | None = None,
    padding_id: int | None = None,
    out_sharding: NamedSharding | None = None,
) -> TokenEmbeddingParams:
    """Draws a token embedding from `N(0, init_std**2)`.

    Args:
        key: A JAX random key.
        vocab_size: Number of tokens. Positive.
        d_model: Width of the embedding. Positive.
        init_std: Standard deviation. Not negative.
        dtype: Of the table, which is drawn in float32 and rounded once. `None` is JAX's
            default float.
        padding_id: A token whose row starts as zeros; see `apply_token_embedding`.
        out_sharding: Where the table is made. Each device makes its own shard, and the
            values do not depend on the mesh; in shards of fewer columns than a vector
            register holds, the last bits may.

    Returns:
        Parameters with a `weight` of shape `(vocab_size, d_model)`.

    Raises:
        ValueError: If a size is not positive, `init_std` negative, `dtype` not a real
            float, or `padding_id` outside the vocabulary.

    Example:
        >>> init_token_embedding(jax.random.key(0), 10, 4).weight.shape
        (10, 4)

    Reference:
        Radford et al., GPT-2, 2019 (init_std 0.02).
        https://openai.com/index/better-language-models
    """
    check_token_embedding(vocab_size, d_model, padding_id)
    if not (is_number(init_std) and init_std >= 0):
        raise ValueError(f"{init_std=} must be finite and not negative.")
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    draw = partial(
        _draw,
        shape=(vocab_size, d_model),
        init_std=float(init_std),
        dtype=dtype,
        padding_id=padding_id,
        out_sharding=out_sharding,
    )
    if out_sharding is not None:
        # Compiled for that sharding, so that no device ever holds the whole table.
        draw = jax.jit(draw, out_shardings=out_sharding)
    return TokenEmbeddingParams(weight=draw(key))


def _draw(key, *, shape, init_std, dtype, padding_id, out_sharding):
    if out_sharding is not None and not out_sharding.mesh.abstract_mesh.explicit_axes:
        out_sharding = None  # the compiler's to spread
    normal = jax.random.normal(key, shape, wide_dtype(dtype), out_sharding=out_sharding)
    # Else XLA may merge `init_std` into a factor of the draw, on some meshes only.
    weight = init_std * lax.optimization_barrier(normal)
    if padding_id is not None:
        row = lax.broadcasted_iota(jnp.int32, shape, 0, out_sharding=out_sharding)
        weight = jnp.where(row == padding_id, jnp.zeros_like(weight), weight)
    return weight.astype(dtype)


@public
def apply_token_embedding(
    params: TokenEmbeddingParams,
    token_ids: Integer[Array | np.ndarray, "*ids"] | Sequence,
    *,
    dtype: DTypeLike | None = None,
    scale: float | None = None,
    scale_dtype: DTypeLike | None = None,
    padding_id: int | None = None,
    mask_padding: bool = False,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*ids d_model"]:
    """Looks up the vector of each token: gathered, scaled in float32, rounded once.

    The gradient of the table is added up in float32 over all ids of the call and
    rounded once to its dtype, whatever `dtype` is. JAX adds up several calls, or the
    steps of a scan, in the dtype of the table.

    Args:
        params: A table `(vocab_size, d_model)`.
        token_ids: Ids in `[0, vocab_size)`, any shape and any integer dtype.
        dtype: Of the result; `None` is the table's.
        scale: The rows are multiplied by it, by `d_model ** 0.5` in Gemma and T5's kin.
        scale_dtype: The dtype in which `scale` itself is rounded; `None` is that of the
            arithmetic. Gemma rounds it in bfloat16: 55.4256 becomes 55.5.
        padding_id: A token whose row gets no gradient. The row is read as it is.
        mask_padding: Also gives zeros for `padding_id`, whatever its row holds.
        out_sharding: Sharding of the result. `None`, under a mesh with explicit axes,
            is that of the ids, with `d_model` not sharded.

    Returns:
        One row per id. A traced id outside the vocabulary gives a row of NaN, which
        adds nothing to the gradient.

    Raises:
        ValueError: If the ids are not integers, one that is known outside every
            transformation is out of range, a dtype is not a real float, `padding_id`
            is outside the vocabulary, or an option lacks the one that it goes with.

    Example:
        >>> params = TokenEmbeddingParams(weight=jnp.eye(3))
        >>> apply_token_embedding(params, jnp.array([2, 0]))
        Array([[0., 0., 1.],
               [1., 0., 0.]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.4.
        https://arxiv.org/abs/1706.03762
    """
    check_params(params, TokenEmbeddingParams)
    weight = params.weight
    check_table("weight", weight)
    dtype = result_dtype("dtype", dtype, weight.dtype)
    vocab_size, d_model = weight.shape
    check_token_embedding(vocab_size, d_model, padding_id)
    check_flags(mask_padding=mask_padding)
    if mask_padding and padding_id is None:
        raise ValueError(f"{mask_padding=} must come with a padding_id.")
    if scale is None and scale_dtype is not None:
        raise ValueError(f"{scale_dtype=} must come with a scale.")
    if scale_dtype is not None:
        scale_dtype = float_dtype("scale_dtype", scale_dtype)
    ids = row_indices("token_ids", token_ids, vocab_size)
    rows = lookup_rows(weight, ids, frozen_row=padding_id, out_sharding=out_sharding)
    if scale is not None:
        rows = rows * rounded_scale(scale, scale_dtype or rows.dtype, rows.dtype)
    if mask_padding:
        is_padding = per_row(ids == padding_id, rows)
        rows = jnp.where(is_padding, jnp.zeros_like(rows), rows)
    return rows.astype(dtype)


@public
def apply_token_unembedding(
    params: TokenEmbeddingParams,
    x: Float[Array, "*batch d_model"],
    *,
    dtype: DTypeLike | None = None,
    accumulation_dtype: DTypeLike | None = None,
    soft_cap: float | None = None,
    compute_dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch vocab_size"]:
    """Logits of the tied head, `x @ weight.T`, on the array that the lookup reads.

    A float32 table is rounded to the dtype of 16-bit hidden states before the product,
    which adds up in float32. That is off by at most 2**-8 (bfloat16) or 2**-11
    (float16, with numbers from 6.2e-5 to 65504 in the table) of the sum of magnitudes
    `|x| @ |weight|.T`; the gradient of the table is added up in float32 and not
    rounded. Other operands of different dtypes are widened, never narrowed.

    Args:
        params: A table `(vocab_size, d_model)`.
        x: Hidden states.
        dtype: Of the logits; `None` is that of `x`. Rounded once, at the end:
            `jnp.float32` gives those of bfloat16 hidden states unrounded.
        accumulation_dtype: In which products are added up and the soft-cap is taken;
            `None` is float32 (float64 for float64 operands).
        soft_cap: Bounds the logits: `soft_cap * tanh(logits / soft_cap)`. Positive and
            finite; `None` is no bound.
        compute_dtype: In which `x` and the table are multiplied. `None` is that of `x`
            if it has 16 bits and the table more, else the wider of the two:
            `jnp.float32` multiplies a float32 table as it is.
        precision: Of the matrix product, as in `jax.lax.dot_general`.
        out_sharding: Sharding of the logits, under a mesh with explicit axes.

    Returns:
        One logit per token of the vocabulary.

    Raises:
        ValueError: If `soft_cap` is not positive and finite, a dtype (that of `x`
            included) is not a real float, or the widths of `x` and the table differ.

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
    check_table("weight", weight)
    if x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ValueError(f"{x.shape=} must end in the width of {weight.shape=}.")
    if soft_cap is not None and not (is_number(soft_cap) and soft_cap > 0):
        raise ValueError(f"{soft_cap=} must be positive and finite, or None.")
    float_dtype("x.dtype", x.dtype)
    dtype = result_dtype("dtype", dtype, x.dtype)
    default = _dtype_of_product(x.dtype, weight.dtype)
    compute_dtype = result_dtype("compute_dtype", compute_dtype, default)
    accumulation_dtype = result_dtype(
        "accumulation_dtype", accumulation_dtype, wide_dtype(compute_dtype)
    )
    logits = logits_product(
        x, weight, compute_dtype, accumulation_dtype, precision, out_sharding
    )
    if soft_cap is not None:
        soft_cap = float(soft_cap)
        logits = soft_cap * jnp.tanh(logits / soft_cap)
    return logits.astype(dtype)


def _dtype_of_product(x, weight):
    """The default dtype in which hidden states and a table are multiplied."""
    narrow = jnp.finfo(x).bits == 16 and jnp.finfo(weight).bits > 16
    return x if narrow or x == weight else wide_dtype(x, weight)


def check_token_embedding(vocab_size, d_model, padding_id):
    """The rules that making a table and reading it share."""
    for name, size in (("vocab_size", vocab_size), ("d_model", d_model)):
        positive_integer(name, size)
    if padding_id is None:
        return
    if not is_integer(padding_id) or not 0 <= padding_id < vocab_size:
        raise ValueError(f"{padding_id=} must be an integer in [0, {vocab_size}).")


def rounded_scale(scale, rounded_to, dtype):
    """A finite number that multiplies rows, rounded to one dtype and then another."""
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
