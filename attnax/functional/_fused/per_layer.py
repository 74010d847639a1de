"""Per-layer embeddings: a vector for each token and each layer of a model."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import (
    check_flags,
    check_key,
    check_params,
    check_precision,
    check_table,
    float_array,
    integer,
    number,
    positive_integer,
)
from ..._dtypes import default_float_dtype, float_dtype, result_dtype
from ..._public import public
from .._tables.draw import drawn_table
from .._tables.selected import check_looked_up
from .per_layer_steps import project, rows_of_layers, scale_in
from .rounding import rounded_to, step_dtype


class PerLayerEmbeddingParams(NamedTuple):
    """Parameters of per-layer embeddings.

    Attributes:
        weight: One row per token id: the vector of the first layer, then that of the
            second, and so on.
        projection: Matrix from embedded tokens to the vectors of all layers.
        norm_scale: Factors of the RMS norm of a projected vector.
    """

    weight: Float[Array, "vocab_size num_layers*d_layer"]
    projection: Float[Array, "d_model num_layers*d_layer"]
    norm_scale: Float[Array, " d_layer"]


@public
def init_per_layer_embedding(
    key: PRNGKeyArray,
    vocab_size: SupportsIndex,
    d_model: SupportsIndex,
    num_layers: SupportsIndex,
    d_layer: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> PerLayerEmbeddingParams:
    """Draws per-layer embeddings from a normal distribution of mean 0.

    Args:
        key: A JAX random key.
        vocab_size: Number of tokens of the table, which may be fewer than the model
            has. Positive.
        d_model: Width of the embedded tokens. Positive.
        num_layers: Number of layers. Positive.
        d_layer: Width of the vector of a layer. Positive.
        init_std: Standard deviation of the table and of the projection. Not negative.
        dtype: Dtype of the parameters. `None` is JAX's default float.

    Returns:
        Parameters, with a `norm_scale` of ones.

    Raises:
        ValueError: If `key` is not one random key, a size is not a positive integer,
            `init_std` is negative, or `dtype` is not a real float.

    Example:
        >>> params = init_per_layer_embedding(jax.random.key(0), 10, 8, 3, 4)
        >>> params.weight.shape, params.projection.shape
        ((10, 12), (8, 12))

    Reference:
        Gemma 3n in transformers 5, `modeling_gemma3n.py`.
        https://github.com/huggingface/transformers
    """
    check_key(key)
    vocab_size = positive_integer("vocab_size", vocab_size)
    d_model = positive_integer("d_model", d_model)
    d_layer = positive_integer("d_layer", d_layer)
    columns = positive_integer("num_layers", num_layers) * d_layer
    init_std = number("init_std", init_std, 0)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    of_table, of_projection = jax.random.split(key)
    draw = lambda key, rows: drawn_table(
        key, (rows, columns), init_std=init_std, dtype=dtype
    )
    return PerLayerEmbeddingParams(
        weight=draw(of_table, vocab_size),
        projection=draw(of_projection, d_model),
        norm_scale=jnp.ones(d_layer, dtype),
    )


@public
def apply_per_layer_embedding(
    params: PerLayerEmbeddingParams,
    token_ids: Integer[Array | np.ndarray, "*batch"] | Sequence | SupportsIndex | None,
    x: Float[Array | np.ndarray, "*batch d_model"],
    *,
    dtype: DTypeLike | None = None,
    outside_id: SupportsIndex | None = None,
    eps: SupportsFloat = 1e-6,
    scale_dtype: DTypeLike | None = None,
    round_steps: bool | np.bool_ = False,
    precision: lax.PrecisionLike = None,
) -> Float[Array, "*batch num_layers d_layer"]:
    """Vectors of each layer, `(row + projected) / √2`, for tokens and embeddings.

    The row of a token is multiplied by `√d_layer`, rounded to the dtype of the table.
    The embedding is projected, multiplied by `d_model ** -0.5`, and each layer of it
    divided by its root mean square. All of it is computed in float32 and rounded once,
    unless `round_steps` is true.

    Args:
        params: A table, a projection and the factors of a norm.
        token_ids: Ids in `[0, vocab_size)` of any integer dtype, or `None` for tokens
            without one, such as those of images: the result is then the projected part
            alone, without the factor `1 / √2`.
        x: Embedded tokens, those that the first layer reads.
        dtype: Dtype of the result. `None` is that of `x`.
        outside_id: Token whose row stands for all ids outside the table. Gemma 3n takes
            0. `None` is no such token: these ids are out of range.
        eps: Number added to the mean square. Not negative.
        scale_dtype: Dtype to which `d_model ** -0.5` and `1 / √2` are rounded. `None`
            is that of the arithmetic, as Gemma 4 has it. Gemma 3n rounds them to the
            dtype of the model.
        round_steps: Whether each step is rounded to the dtype of `x`, as the released
            models compute in bfloat16.
        precision: Precision of the matrix product, as in `jax.lax.dot_general`.

    Returns:
        One vector for each token and layer. A traced id out of range gives NaN.

    Raises:
        ValueError: If the parameters do not fit each other or `x`, the ids are not
            integers or have not the batch of `x`, an id that is known outside every
            transformation is out of range, `outside_id` is outside the table, `eps` is
            negative, a dtype is not a real float, `precision` is unknown, or steps are
            rounded to a dtype of 8 bits.

    Example:
        >>> params = init_per_layer_embedding(jax.random.key(0), 10, 8, 3, 4)
        >>> x = jnp.ones((2, 5, 8))
        >>> apply_per_layer_embedding(params, jnp.ones((2, 5), int), x).shape
        (2, 5, 3, 4)

    Reference:
        Gemma 3n and Gemma 4 in transformers 5, `get_per_layer_inputs` and
        `project_per_layer_inputs`. https://github.com/huggingface/transformers
    """
    x = jnp.asarray(_checked(params, x))
    dtype = result_dtype("dtype", dtype, x.dtype)
    eps = number("eps", eps, 0)
    check_flags(round_steps=round_steps)
    check_precision(precision)
    if scale_dtype is not None:
        scale_dtype = float_dtype("scale_dtype", scale_dtype)
    if outside_id is not None:
        outside_id = integer("outside_id", outside_id, 0, params.weight.shape[0] - 1)
    step = step_dtype(x.dtype, "x.dtype") if round_steps else None
    projected = project(params, x, eps, scale_dtype, step, precision)
    if token_ids is None:
        return projected.astype(dtype)
    rows = rows_of_layers(params, token_ids, x, outside_id, step)
    total = rounded_to(rows.astype(projected.dtype) + projected, step)
    return (total * scale_in(0.5**0.5, scale_dtype, total.dtype)).astype(dtype)


def _checked(params, x):
    """`x`, after a check that parameters fit it and each other."""
    check_params(params, PerLayerEmbeddingParams)
    check_looked_up("params.weight", params.weight)
    check_table("params.projection", params.projection)
    float_array("params.norm_scale", params.norm_scale)
    x = float_array("x", x, "d_model")
    columns, norm = params.weight.shape[1], params.norm_scale.shape
    wanted = (x.shape[-1], columns)
    if params.projection.shape != wanted:
        raise ValueError(
            f"params.projection.shape={params.projection.shape} must be {wanted}, the "
            "width of x and the columns of params.weight."
        )
    if len(norm) != 1 or not norm[0] or columns % norm[0]:
        raise ValueError(
            f"params.norm_scale.shape={norm} must be (d_layer,), which divides the "
            f"{columns} columns of params.weight."
        )
    return x
