"""Dtype policy: JAX's default float for parameters, float32 or wider for arithmetic."""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike


def default_float_dtype() -> np.dtype:
    """float32, or float64 if JAX is in 64-bit mode."""
    return jnp.result_type(float)


def float_dtype(function: str, name: str, dtype: DTypeLike) -> np.dtype:
    """`dtype` as a NumPy dtype; a `ValueError` unless it is a real float."""
    dtype = jnp.dtype(dtype)
    if not jnp.issubdtype(dtype, jnp.floating):
        raise ValueError(f"{function}: {name}={dtype.name} must be a real float dtype.")
    return dtype


def compute_dtype(*dtypes: DTypeLike) -> np.dtype:
    """The widest of `dtypes`, and float32 at least."""
    # Not `jnp.promote_types`: it raises on bfloat16 and float32 in strict mode.
    wide = any(jnp.finfo(dtype).bits > 32 for dtype in dtypes)
    return jnp.dtype(jnp.float64 if wide else jnp.float32)
