"""Contextual position encoding (CoPE): positions that count what gates let through."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from ...._checks import (
    bool_array,
    broadcast_batches,
    check_axes,
    check_key,
    check_params,
    check_precision,
    check_table,
    float_array,
    number,
    positive_integer,
)
from ...._dtypes import compute_dtype, default_float_dtype, result_dtype
from ...._public import public
from ..core.parameters import draw_normal


class ContextualPositionBiasParams(NamedTuple):
    """Parameters of contextual positions, which all heads of a layer share.

    Attributes:
        embedding: A vector for each whole position, the transpose of `pos_emb[0]` in
            the code of the paper.
    """

    embedding: Float[Array, "num_positions head_dim"]


@public
def init_contextual_position_bias(
    key: PRNGKeyArray,
    num_positions: SupportsIndex,
    head_dim: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.0,
    dtype: DTypeLike | None = None,
) -> ContextualPositionBiasParams:
    """Returns parameters of contextual positions: zeros, as in the paper's code.

    Args:
        key: A random key of JAX.
        num_positions: Number of whole positions, 0 among them. Positive. Positions
            beyond the last one count as the last one.
        head_dim: Features of a head. Positive.
        init_std: Standard deviation of a normal distribution to draw from instead. Not
            negative.
        dtype: Dtype of the parameters, default JAX's float; they are drawn in float32
            or wider and rounded once.

    Returns:
        Parameters for `apply_contextual_position_bias`.

    Raises:
        ValueError: If `key` is not one random key, or an argument is out of its range.

    Example:
        >>> init_contextual_position_bias(jax.random.key(0), 64, 32).embedding.shape
        (64, 32)

    Reference:
        Golovneva et al., Contextual Position Encoding: Learning to Count What's
        Important, 2024, and its code. https://arxiv.org/abs/2405.18719
    """
    check_key(key)
    shape = (
        positive_integer("num_positions", num_positions),
        positive_integer("head_dim", head_dim),
    )
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    init_std = number("init_std", init_std, 0)
    drawn = draw_normal(key, shape, init_std, dtype)
    return ContextualPositionBiasParams(embedding=drawn)


@public
def apply_contextual_position_bias(
    params: ContextualPositionBiasParams,
    q: Float[Array | np.ndarray, "*#batch q_len num_heads head_dim"],
    k: Float[Array | np.ndarray, "*#batch k_len num_kv_heads head_dim"],
    mask: Bool[Array | np.ndarray, "*#batch q_len k_len"]
    | Integer[Array | np.ndarray, "*#batch q_len k_len"]
    | Sequence,
    *,
    scale: SupportsFloat | None = None,
    factor: SupportsFloat = 1.0,
    precision: PrecisionLike = None,
    dtype: DTypeLike | None = None,
) -> Float[Array, "*all_batch num_heads q_len k_len"]:
    """Returns the bias of each head for every pair, from positions that gates count.

    A key `j` has the gate `g_j = sigmoid(scale * q . k_j)` for a query `q`, or 0 where
    the mask hides it. The position of the key is `p = g_j + g_(j+1) + ...`, the sum
    over all keys from it on, but at most `num_positions - 1`. The bias is
    `factor * q . e(p)`, where `e(p)` lies on the line between the two rows of
    `params.embedding` next to `p`.

    So keys must stand in the order of their positions, and the mask must hide those
    after the query, those of other documents, padding, and places of a cache that are
    not yet filled. Hidden keys have a finite bias too: attention needs the mask as
    well.

    Args:
        params: The embeddings of whole positions.
        q: Queries, not scaled. Batch axes of all arrays broadcast.
        k: What the gates read: the keys of the attention, or those of a separate
            projection. The number of their heads divides that of the queries; each
            serves a group of query heads.
        mask: True or 1 where the query attends to the key, else False or 0.
        scale: Factor of the scores in the gates, default `1 / sqrt(head_dim)`.
        factor: Factor of the bias. 1 in the listing of the paper, and
            `1 / sqrt(head_dim)` in its released code, which adds before the scaling.
        precision: Precision of matrix products.
        dtype: Dtype of the result, default float32, or float64 if an array is.
            Arithmetic is in float32 or wider and rounded once.

    Returns:
        Biases `(*batch, num_heads, q_len, k_len)`, for scores that are scaled already.
        The gradient with respect to `p` is the slope of the line on which `p` lies, of
        the one above it at a whole position, and 0 at the last position and beyond.

    Raises:
        ValueError: If an argument is of another kind or out of its range, or if shapes
            do not fit together.

    Example:
        >>> params = ContextualPositionBiasParams(jnp.array([[0.0], [1.0], [2.0]]))
        >>> q, k = jnp.ones((1, 1, 1)), jnp.zeros((3, 1, 1))  # all gates are 1/2
        >>> apply_contextual_position_bias(params, q, k, jnp.ones((1, 3), bool))
        Array([[[1.5, 1. , 0.5]]], dtype=float32)

    Reference:
        Golovneva et al., Contextual Position Encoding: Learning to Count What's
        Important, 2024, the section on contextual position encoding and the listing of
        the appendix. https://arxiv.org/abs/2405.18719
    """
    check_params(params, ContextualPositionBiasParams)
    check_table("params.embedding", params.embedding)
    q, k, mask = _checked(params.embedding, q, k, mask)
    of_gates = q.shape[-1] ** -0.5 if scale is None else number("scale", scale)
    of_bias = number("factor", factor)
    check_precision(precision)
    wide = compute_dtype(params.embedding.dtype, q.dtype, k.dtype)
    dtype = result_dtype("dtype", dtype, wide)
    table, q, k = (jnp.asarray(t, wide) for t in (params.embedding, q, k))
    scores = of_gates * _products(q, k, precision)
    positions = _positions(scores, mask, table.shape[0])
    of_rows = jnp.einsum("...qhd,nd->...hqn", q, table, precision=precision)
    return (of_bias * _between(of_rows, positions)).astype(dtype)


def _checked(embedding, q, k, mask):
    """The arrays with batch axes of one rank, which broadcast."""
    q = float_array("q", q, "q_len", "num_heads", "head_dim", nan=False)
    k = float_array("k", k, "k_len", "num_kv_heads", "head_dim", nan=False)
    mask = bool_array("mask", mask)
    check_axes("mask", mask, "q_len", "k_len")
    for name, x in (("q", q), ("k", k)):
        if x.shape[-1] != embedding.shape[1]:
            raise ValueError(
                f"{name}.shape={x.shape} must end in the width of "
                f"params.embedding.shape={embedding.shape}."
            )
    if k.shape[-2] == 0 or q.shape[-2] % k.shape[-2] != 0:
        raise ValueError(
            f"k.shape={k.shape} must have a number of heads that divides that of "
            f"q.shape={q.shape}."
        )
    lengths = (q.shape[-3], k.shape[-3])
    if mask.shape[-2:] != lengths:
        raise ValueError(
            f"{mask.shape=} must end in {lengths}, (q_len, k_len) of q and k."
        )
    batches = {"q": q.shape[:-3], "k": k.shape[:-3], "mask": mask.shape[:-2]}
    rank = len(broadcast_batches(batches))
    axes = zip((q, k, mask), (3, 3, 2), strict=True)
    return (x.reshape((1,) * (rank + n - x.ndim) + x.shape) for x, n in axes)


def _products(q, k, precision):
    """The products of queries and keys, `(*batch, num_heads, q_len, k_len)`."""
    kv_heads = k.shape[-2]
    q = q.reshape(*q.shape[:-2], kv_heads, q.shape[-2] // kv_heads, q.shape[-1])
    products = jnp.einsum("...qhgd,...khd->...hgqk", q, k, precision=precision)
    heads = kv_heads * products.shape[-3]
    return products.reshape(*products.shape[:-4], heads, *products.shape[-2:])


def _positions(scores, mask, num_positions):
    gates = jnp.where(mask[..., None, :, :], jax.nn.sigmoid(scores), 0)
    positions = lax.cumsum(gates, gates.ndim - 1, reverse=True)
    return jnp.minimum(positions, num_positions - 1)


def _between(of_rows, positions):
    """The values at whole positions, with straight lines between them."""
    below = jnp.floor(positions)
    # Not the ceiling: at a whole position it would be the same row, without a slope.
    row = below.astype(np.int32)
    above = jnp.minimum(row + 1, of_rows.shape[-1] - 1)
    shape = (*positions.shape[:-1], of_rows.shape[-1])
    of_rows = jnp.broadcast_to(of_rows, shape)
    low, high = (jnp.take_along_axis(of_rows, at, -1) for at in (row, above))
    return low + (positions - lax.stop_gradient(below)) * (high - low)
