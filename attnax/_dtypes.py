"""Dtypes: JAX's default float for parameters, float32 or wider for arithmetic."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike


def default_float_dtype() -> np.dtype:
    """float32, or float64 if JAX is in 64-bit mode."""
    return jnp.result_type(float)


def float_dtype(name: str, dtype: DTypeLike, *, nan: bool = True) -> np.dtype:
    """A real float dtype as a NumPy dtype.

    The dtype must hold 0 and NaN, because rows out of range are NaN; float4 and float6
    would make numbers of them. `nan=False` is for arrays that only enter a product.
    """
    if isinstance(dtype, jax.Array | np.ndarray):
        raise ValueError(f"{name} is an array, but must be a real float dtype.")
    try:
        dtype = jnp.dtype(dtype)
    except TypeError:
        raise ValueError(f"{name}={dtype!r} must be a real float dtype.") from None
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{name}={dtype.name} must be a real float dtype.")
    if nan and not _holds_zero_and_nan(dtype):
        raise ValueError(
            f"{name}={dtype.name} must be a real float dtype that holds 0 "
            "and NaN; cast to bfloat16 or wider."
        )
    return dtype


def result_dtype(name: str, dtype: DTypeLike | None, default: DTypeLike) -> np.dtype:
    """`dtype`, checked by `float_dtype`; for `None`, `default` as JAX holds it.

    float64 is refused outside 64-bit mode, where JAX would make float32 of it.
    """
    if dtype is None:
        return float_dtype(name, jax.dtypes.canonicalize_dtype(default))
    dtype = float_dtype(name, dtype)
    if jax.dtypes.canonicalize_dtype(dtype) != dtype:
        raise ValueError(
            f"{name}={dtype.name} must come with jax_enable_x64; without it, JAX "
            "makes float32 of it."
        )
    return dtype


def compute_dtype(*dtypes: DTypeLike) -> np.dtype:
    """float64 if JAX holds one of `dtypes` as float64, or else float32."""
    # `jnp.promote_types` raises on bfloat16 and float32 in strict mode.
    wide = any(jnp.finfo(dtype).bits > 32 for dtype in dtypes)
    return jax.dtypes.canonicalize_dtype(jnp.float64 if wide else jnp.float32)


def _holds_zero_and_nan(dtype):
    zero, nan = np.array([0.0, np.nan]).astype(dtype)
    return zero == 0 and np.isnan(nan)
