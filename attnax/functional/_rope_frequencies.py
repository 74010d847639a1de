"""Inverse frequencies of rotary embeddings, made on the host in float64."""

import math

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._dtypes import float_dtype


def default_inv_freq(
    head_dim: int, base: float = 10_000.0
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Inverse frequencies `base ** (-2 i / head_dim)` in float64, on the host.

    This vector is what every scaling method changes and what `rope_cos_sin` takes.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.

    Returns:
        `head_dim // 2` frequencies in radians per position, the first one 1.

    Raises:
        ValueError: If `head_dim` is not positive and even, or `base` not positive.

    Example:
        >>> default_inv_freq(4, 10_000.0)
        array([1.  , 0.01])

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    return _geometric("default_inv_freq", head_dim, base)


def rope_inv_freq(
    head_dim: int, base: float = 10_000.0, dtype: DTypeLike = jnp.float32
) -> Float[Array, " {head_dim}//2"]:
    """`default_inv_freq`, rounded once to `dtype`, as a JAX array.

    For other people's code. Rounded frequencies cannot give exact angles any more:
    `rope_cos_sin` takes those of `default_inv_freq`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        dtype: Of the result; the powers are taken in float64 and rounded once.

    Returns:
        `head_dim // 2` frequencies in radians per position, the first one 1.

    Raises:
        ValueError: If `head_dim` is not positive and even, `base` not positive, or
            `dtype` not a real float.

    Example:
        >>> rope_inv_freq(4)
        Array([1.  , 0.01], dtype=float32)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    dtype = float_dtype("rope_inv_freq", "dtype", dtype)
    # Rounded by NumPy: without x64, JAX would go through float32 first.
    return jnp.asarray(_geometric("rope_inv_freq", head_dim, base).astype(dtype))


def _geometric(function, head_dim, base):
    if head_dim <= 0 or head_dim % 2 != 0:
        raise ValueError(f"{function}: {head_dim=} must be positive and even.")
    if not (base > 0 and math.isfinite(base)):
        raise ValueError(f"{function}: {base=} must be positive and finite.")
    # Python's power, one at a time: NumPy's vector form is allowed to be less exact.
    return np.array([float(base) ** (-i / head_dim) for i in range(0, head_dim, 2)])
