"""A table of relative positions, normalized and projected to the heads."""

from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.lax import PrecisionLike
from jaxtyping import Array, Float

from ...._checks import (
    check_precision,
    check_table,
    float_array,
    number,
    positive_integer,
)
from ...._dtypes import compute_dtype
from ...._public import public


@public
def project_relative_table(
    table: Float[Array | np.ndarray, "num_rows d_model"],
    weight: Float[Array | np.ndarray, "d_model width"],
    bias: Float[Array | np.ndarray, " width"] | None = None,
    *,
    num_heads: SupportsIndex,
    norm_weight: Float[Array | np.ndarray, " d_model"] | None = None,
    norm_bias: Float[Array | np.ndarray, " d_model"] | None = None,
    epsilon: SupportsFloat = 1e-7,
    precision: PrecisionLike = None,
) -> Float[Array, "num_rows num_heads head_dim"]:
    """Returns a table of relative positions as rows of every head.

    The rows are `norm(table) @ weight + bias`. They are the `keys` or the `queries` of
    `DisentangledParams`. A decoder or a server makes them once, and not in every step.

    Args:
        table: One row for each distance or bucket. `rel_embeddings` in checkpoints.
        weight: The projection of the keys or the queries, which maps a row to
            `num_heads * head_dim` numbers. Linear layers of PyTorch hold its transpose.
            With `share_att_key` in the config it is the projection of the layer itself.
        bias: The bias of that projection, or `None`.
        num_heads: Number of heads, which divides the width of the projection.
        norm_weight: The weight of the LayerNorm of the table. `None` for no LayerNorm.
        norm_bias: The bias of the LayerNorm. `None` exactly if `norm_weight` is.
        epsilon: What the LayerNorm adds to the variance. Not negative.
        precision: Precision of the product, as in `jax.numpy.matmul`.

    Returns:
        The rows in the dtype of `table`, rounded once.

    Raises:
        ValueError: If the shapes do not fit each other, or only one of the arrays of
            the LayerNorm is given.

    Example:
        >>> table, weight = np.eye(4, dtype=np.float32), np.ones((4, 6), np.float32)
        >>> project_relative_table(table, weight, num_heads=2).shape
        (4, 2, 3)

    Reference:
        He et al., DeBERTa: Decoding-enhanced BERT with Disentangled Attention, 2020,
        eq. 4. https://arxiv.org/abs/2006.03654
    """
    arrays = _checked(table, weight, bias, norm_weight, norm_bias)
    num_heads = positive_integer("num_heads", num_heads)
    width = arrays["weight"].shape[1]
    if width % num_heads != 0:
        raise ValueError(f"{num_heads=} must divide weight.shape[1]={width}.")
    epsilon = number("epsilon", epsilon, 0)
    check_precision(precision)
    dtype = compute_dtype(*(array.dtype for array in arrays.values()))
    wide = {name: jnp.asarray(array).astype(dtype) for name, array in arrays.items()}
    rows = wide["table"]
    if norm_weight is not None:
        rows = _normalized(rows, epsilon)
        rows = rows * wide["norm_weight"][None] + wide["norm_bias"][None]
    rows = jnp.matmul(rows, wide["weight"], precision=precision)
    if bias is not None:
        rows = rows + wide["bias"][None]
    rows = rows.reshape(-1, num_heads, width // num_heads)
    return rows.astype(arrays["table"].dtype)


def _normalized(rows, epsilon):
    rows = rows - rows.mean(-1, keepdims=True)
    variance = jnp.square(rows).mean(-1, keepdims=True)
    return rows * lax.rsqrt(variance + epsilon)


def _checked(table, weight, bias, norm_weight, norm_bias):
    """The arrays that are given, by name."""
    check_table("table", table)
    check_table("weight", weight)
    d_model, width = table.shape[1], weight.shape[1]
    if weight.shape[0] != d_model:
        raise ValueError(
            f"weight.shape={weight.shape} must begin with {d_model}, the width of "
            "table; the weight of a linear layer of PyTorch is its transpose."
        )
    vectors = {"bias": (bias, width), "norm_weight": (norm_weight, d_model)}
    vectors["norm_bias"] = norm_bias, d_model
    if (norm_weight is None) != (norm_bias is None):
        missing = "norm_weight" if norm_weight is None else "norm_bias"
        raise ValueError(f"{missing} must be given, as the other array of the norm is.")
    arrays = {"table": table, "weight": weight}
    for name, (vector, length) in vectors.items():
        if vector is None:
            continue
        float_array(name, vector)
        if vector.shape != (length,):
            raise ValueError(
                f"{name}.shape={vector.shape} must be {(length,)}, for "
                f"table.shape={table.shape} and weight.shape={weight.shape}."
            )
        arrays[name] = vector
    return arrays
