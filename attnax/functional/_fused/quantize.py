"""Tables to 8-bit floats with a scale for each block of columns."""

from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ..._checks import (
    FLOAT32_TINY,
    check_table,
    nan_unless,
    positive_integer,
    type_of,
)
from ..._dtypes import float_dtype
from ..._public import public
from .quantized import QuantizedTableParams

_SCALES = (jnp.float32, jnp.bfloat16, jnp.float8_e8m0fnu)


@public
def quantize_table(
    weight: Float[Array | np.ndarray, "num_rows d_model"],
    dtype: DTypeLike = jnp.float8_e4m3fn,
    *,
    block_size: SupportsIndex | None = None,
    scale_dtype: DTypeLike = jnp.float32,
) -> QuantizedTableParams:
    """Rounds a table to 8-bit floats, each block of columns with a scale of its own.

    The scale takes the largest magnitude of the block to the largest number of the
    dtype. As a power of two it is rounded up, as DeepSeek does. The error of a number
    is at most half a unit of its last place, or of the smallest normal number times
    the scale. Rows do not depend on each other, so a large table may be quantized
    some rows at a time.

    Args:
        weight: A table of finite numbers.
        dtype: A float of 8 bits: `float8_e4m3fn`, or `float8_e5m2` for more range.
        block_size: Number of columns that share a scale, which divides `d_model`.
            `None` is a scale for the whole row.
        scale_dtype: Dtype of the scales: float32, bfloat16, or `float8_e8m0fnu`, which
            holds powers of two.

    Returns:
        The table and its scales, `(num_rows, d_model // block_size)`. A block that
        holds NaN or an infinity becomes NaN.

    Raises:
        ValueError: If the table is not one of real floats, `dtype` is not a real float
            of 8 bits, `block_size` does not divide the columns, or `scale_dtype` is
            another one.

    Example:
        >>> table = quantize_table(jnp.ones((3, 64)), block_size=32)
        >>> table.weight.dtype.name, table.scale.shape
        ('float8_e4m3fn', (3, 2))

    Reference:
        Rouhani et al., Microscaling Data Formats for Deep Learning, 2023, section 6.
        https://arxiv.org/abs/2310.10537; Micikevicius et al., FP8 Formats for Deep
        Learning, 2022. https://arxiv.org/abs/2209.05433
    """
    check_table("weight", weight)
    dtype = float_dtype("dtype", dtype)
    if jnp.finfo(dtype).bits != 8:
        raise ValueError(f"dtype={dtype.name} must be a real float of 8 bits.")
    num_rows, d_model = weight.shape
    size = d_model
    if block_size is not None:
        size = positive_integer("block_size", block_size)
    if d_model % size:
        raise ValueError(
            f"{block_size=} must divide {d_model=}, the columns of "
            f"weight.shape={weight.shape}."
        )
    scale_dtype = _scale_dtype(scale_dtype)
    blocks = jnp.asarray(weight).astype(jnp.float32)
    blocks = blocks.reshape(num_rows, d_model // size, size)
    largest = jnp.max(jnp.abs(blocks), axis=-1)
    scale = _scales(largest, dtype, scale_dtype)
    wide = scale.astype(jnp.float32)[..., None]
    finite = jnp.isfinite(largest)[..., None]
    narrow = jnp.where(finite, blocks / wide, nan_unless(finite, blocks.dtype))
    narrow = narrow.reshape(num_rows, d_model).astype(dtype)
    return QuantizedTableParams(weight=narrow, scale=scale)


def _scale_dtype(dtype):
    kinds = "float32, bfloat16 or float8_e8m0fnu"
    if isinstance(dtype, jax.Array):  # whose dtype JAX would take, with a warning
        raise ValueError(f"scale_dtype is {type_of(dtype)}, but must be {kinds}.")
    try:
        known = jnp.dtype(dtype) in _SCALES
    except (TypeError, ValueError):
        known = False
    if not known:
        raise ValueError(f"scale_dtype={dtype!r} must be {kinds}.")
    return jnp.dtype(dtype)


def _scales(largest, dtype, scale_dtype):
    """Scales of blocks by their largest magnitude; 1 for a block of zeros."""
    scale = jnp.maximum(largest / float(jnp.finfo(dtype).max), FLOAT32_TINY)
    scale = jnp.where(jnp.isfinite(largest) & (largest > 0), scale, 1.0)
    if scale_dtype == jnp.float8_e8m0fnu:
        mantissa, exponent = jnp.frexp(scale)  # of a mantissa in [0.5, 1)
        exponent = exponent - (mantissa == 0.5).astype(exponent.dtype)
        scale = jnp.ldexp(jnp.ones_like(scale), exponent)
    return scale.astype(scale_dtype)
