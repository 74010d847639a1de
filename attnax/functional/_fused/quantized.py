"""Tables of 8-bit floats with scales, whose rows are widened as they are looked up."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.core import Tracer
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Shaped

from ..._checks import (
    check_out_sharding,
    check_params,
    check_table,
    float_array,
    nan_where_invalid,
    row_indices,
)
from ..._dtypes import compute_dtype, result_dtype
from ..._public import public
from ..._sharding import gathered, sharding_of_lookup, spread


class QuantizedTableParams(NamedTuple):
    """A table of 8-bit floats, and the scales that multiply them.

    Attributes:
        weight: Rows of `float8_e4m3fn` or of another 8-bit float.
        scale: A scale for each block of columns of a row, all blocks of equal width, in
            a real float dtype or in `float8_e8m0fnu`, the powers of two. One row of
            scales stands for all rows.
    """

    weight: Float[Array, "num_rows d_model"]
    scale: Shaped[Array, "num_scale_rows num_blocks"]


@public
def apply_quantized_embedding(
    params: QuantizedTableParams,
    token_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
    *,
    dtype: DTypeLike | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*ids d_model"]:
    """Looks up rows of 8-bit floats, multiplies them by their scales and rounds once.

    Only the rows that are looked up are widened, to float32. The table is storage: its
    gradient and that of its scales are zero. Scales of `float8_e8m0fnu`, which holds no
    0, must stay out of what is differentiated.

    Args:
        params: A table `(num_rows, d_model)` with its scales.
        token_ids: Ids in `[0, num_rows)`, of any shape and any integer dtype.
        dtype: Dtype of the result. `None` is float32, that of the arithmetic.
        out_sharding: Sharding of the result, under a mesh with explicit axes. `None` is
            that of the ids, with `d_model` not sharded.

    Returns:
        One row per id. A traced id out of range gives a row of NaN.

    Raises:
        ValueError: If the table or its scales have another rank or dtype, the scales do
            not divide the columns, the ids are not integers, an id that is known
            outside every transformation is out of range, `dtype` is not a real float,
            or scales of `float8_e8m0fnu` are differentiated.

    Example:
        >>> table = jnp.array([[0.5, 1.0], [3.0, -6.0]])
        >>> params = quantize_table(table, scale_dtype=jnp.float8_e8m0fnu)
        >>> apply_quantized_embedding(params, jnp.array([1]))
        Array([[ 3., -6.]], dtype=float32)

    Reference:
        Rouhani et al., Microscaling Data Formats for Deep Learning, 2023.
        https://arxiv.org/abs/2310.10537; the tables of DeepSeek-V4.1 have a scale for
        each 32 columns. https://github.com/ROCm/ATOM/pull/2185
    """
    check_params(params, QuantizedTableParams)
    check_quantized(params)
    dtype = result_dtype("dtype", dtype, jnp.float32)
    ids = row_indices("token_ids", token_ids, params.weight.shape[0])
    check_out_sharding(out_sharding)
    rows = lookup_quantized(params, ids, out_sharding=out_sharding)
    return rows.astype(dtype)


def check_quantized(params) -> None:
    """Raises unless the scales belong to the rows of 8-bit floats."""
    weight, scale = params
    check_table("params.weight", weight)
    if jnp.finfo(weight.dtype).bits != 8:
        raise ValueError(
            f"params.weight.dtype={weight.dtype} must be a float of 8 bits; make it "
            "with quantize_table."
        )
    if not isinstance(scale, jax.Array | np.ndarray) or scale.dtype == np.uint8:
        raise ValueError(
            "params.scale must be an array of floats; read exponents in bytes as "
            "powers of two: params.scale.view(jnp.float8_e8m0fnu)."
        )
    if scale.dtype != jnp.float8_e8m0fnu:  # it holds no 0, which no scale needs
        float_array("params.scale", scale)
    fits = scale.ndim == 2 and scale.shape[0] in (1, weight.shape[0])
    if not fits or not scale.shape[1] or weight.shape[1] % scale.shape[1]:
        raise ValueError(
            f"params.scale.shape={scale.shape} must be (rows, blocks) for "
            f"params.weight.shape={weight.shape}: as many rows or 1, and a number of "
            "blocks that divides the columns."
        )


def lookup_quantized(params, indices, *, out_sharding=None):
    """Rows of a quantized table in float32; where an index is -1, the row is NaN."""
    weight, scale = map(jnp.asarray, params)
    powers = scale.dtype == jnp.float8_e8m0fnu
    if powers:
        scale = _never_differentiated(scale)
    weight, scale = lax.stop_gradient(weight), lax.stop_gradient(scale)
    own = sharding_of_lookup(indices, weight)
    wide = jnp.float32 if powers else compute_dtype(scale.dtype)
    rows = _gathered_wide(weight, indices, wide, own)
    if len(scale) == 1:
        scales = scale.astype(wide).reshape((1,) * indices.ndim + (-1,))
    else:
        scales = _gathered_wide(scale, indices, wide, own)
    # Blocks have an axis of their own, along which a scale is not copied.
    num_blocks = scale.shape[1]
    size = rows.shape[-1] // num_blocks
    blocks = rows.reshape(*indices.shape, num_blocks, size)
    rows = (blocks * scales[..., None]).reshape(rows.shape)
    return spread(nan_where_invalid(indices >= 0, rows), out_sharding)


@jax.custom_jvp
def _never_differentiated(scale):
    """Powers of two, whose dtype holds no 0: a gradient of zeros would be NaN."""
    return scale


@_never_differentiated.defjvp
def _never_differentiated_jvp(primals, tangents):
    raise ValueError(
        "params.scale is of float8_e8m0fnu, which holds no 0 for a gradient of zeros; "
        "leave the quantized table out of the argument that is differentiated."
    )


def _gathered_wide(table, indices, dtype, out_sharding):
    """Rows of a table, widened after they are gathered."""
    stored = table.dtype
    # XLA's CPU backend would gather 8-bit floats through float16, one by one. Outside
    # `jit` the cast would be a copy of the table.
    if stored.itemsize == 1 and isinstance(table, Tracer):
        table = lax.bitcast_convert_type(table, jnp.uint8)
    rows = gathered(
        table,
        indices,
        mode="clip",
        wrap_negative_indices=False,
        out_sharding=out_sharding,
    )
    if rows.dtype != stored:
        rows = lax.bitcast_convert_type(rows, stored)
    return rows.astype(dtype)
