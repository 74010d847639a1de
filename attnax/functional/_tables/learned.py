"""Learned positions: one trained vector per position, added to the tokens."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import (
    check_key,
    check_out_sharding,
    check_params,
    check_table,
    check_width,
    float_array,
    integer_array,
    number,
    positive_integer,
    row_indices,
)
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from ..._sharding import leading_rows, sharding_beside, spread
from .add import add_rows, check_rows
from .lookup import default_positions, lookup_rows


class LearnedPositionalEmbeddingParams(NamedTuple):
    """Parameters of a learned positional embedding.

    Attributes:
        weight: One row per position.
    """

    weight: Float[Array, "num_positions d_model"]


@public
def init_learned_positional_embedding(
    key: PRNGKeyArray,
    num_positions: SupportsIndex,
    d_model: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> LearnedPositionalEmbeddingParams:
    """Draws learned positions from a truncated normal distribution.

    The distribution has mean 0 and is truncated at two standard deviations.

    Args:
        key: A JAX random key.
        num_positions: Number of positions. Positive.
        d_model: Width of the embedding. Positive.
        init_std: Standard deviation before the truncation. Not negative.
        dtype: Dtype of the table, which is drawn in float32 or wider and rounded once.
            `None` is JAX's default float.

    Returns:
        Parameters with a `weight` of shape `(num_positions, d_model)`.

    Raises:
        ValueError: If `key` is not one random key, a size is not a positive integer,
            `init_std` is negative, or `dtype` is not a real float.

    Example:
        >>> init_learned_positional_embedding(jax.random.key(0), 8, 4).weight.shape
        (8, 4)

    Reference:
        Gehring et al., Convolutional Sequence to Sequence Learning, 2017, section 3.1.
        https://arxiv.org/abs/1705.03122
    """
    check_key(key)
    shape = (
        positive_integer("num_positions", num_positions),
        positive_integer("d_model", d_model),
    )
    init_std = number("init_std", init_std, 0)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    drawn = jax.random.truncated_normal(key, -2.0, 2.0, shape, compute_dtype(dtype))
    return LearnedPositionalEmbeddingParams(weight=(init_std * drawn).astype(dtype))


@public
def apply_learned_positional_embedding(
    params: LearnedPositionalEmbeddingParams,
    x: Float[Array | np.ndarray, "*batch seq_len d_model"],
    positions: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence | None = None,
    *,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Adds the vector of each position to `x`, in float32, rounded once.

    Args:
        params: A table `(num_positions, d_model)`.
        x: Token vectors.
        positions: Positions in `[0, num_positions)`; batch axes broadcast against those
            of `x`. `None` is `0 ... seq_len - 1`.
        out_sharding: Sharding of the result, under a mesh with explicit axes. `None` is
            that of `x`, whatever that of the table is.

    Returns:
        An array of the shape and dtype of `x`. A traced position outside the table
        gives a row of NaN, which adds nothing to the gradient of the table. If
        `seq_len` is a symbol of `jax.export`, tokens past the table give rows of NaN
        too.

    Raises:
        ValueError: If `x` is longer than the table or of another width, a dtype is not
            a real float that holds NaN, `positions` do not fit `x` or are not integers,
            or a position that is known outside every transformation is out of range.

    Example:
        >>> params = LearnedPositionalEmbeddingParams(weight=jnp.ones((5, 2)))
        >>> apply_learned_positional_embedding(params, jnp.zeros((3, 2))).sum()
        Array(6., dtype=float32)

    Reference:
        Gehring et al., Convolutional Sequence to Sequence Learning, 2017, section 3.1.
        https://arxiv.org/abs/1705.03122
    """
    check_params(params, LearnedPositionalEmbeddingParams)
    weight = params.weight
    check_table("params.weight", weight)
    x = jnp.asarray(float_array("x", x, "seq_len", "d_model"))
    check_width("x", x, "params.weight", weight)
    check_out_sharding(out_sharding)
    seq_len, num_positions = x.shape[-2], weight.shape[0]
    if positions is None:
        positions = default_positions(seq_len, num_positions, "x")
    else:
        positions = integer_array("positions", positions)
    batch = (seq_len,) if positions is None else positions.shape
    check_rows(x, batch)
    x = spread(x, out_sharding)
    of_rows = sharding_beside(x, batch)
    if positions is None:
        return add_rows(x, leading_rows(weight, seq_len, of_rows))
    indices = row_indices("positions", positions, num_positions)
    return add_rows(x, lookup_rows(weight, indices, out_sharding=of_rows))
