"""Inverse frequencies of rotary embeddings, made on the host in float64."""

from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ..._checks import number, positive_multiple
from ..._dtypes import result_dtype
from ..._public import public
from .._angles.frequencies import EXACT_LIMIT


@public
def default_inv_freq(
    head_dim: SupportsIndex, base: SupportsFloat = 10_000.0
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Inverse frequencies `base ** (-2 i / head_dim)` in float64, on the host.

    Every scaling method changes this vector, and `rope_cos_sin` takes it.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.

    Returns:
        `head_dim // 2` frequencies in radians per position. The first one is 1.

    Raises:
        ValueError: If `head_dim` is not positive and even, or `base` is not positive
            and finite.

    Example:
        >>> default_inv_freq(4, 10_000.0)
        array([1.  , 0.01])

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    return geometric(head_dim, base)


@public
def rope_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    dtype: DTypeLike | None = jnp.float32,
) -> Float[Array, " {head_dim}//2"]:
    """`default_inv_freq`, rounded once to `dtype`, as a JAX array.

    It is meant for code outside attnax. Rounded frequencies cannot give exact angles:
    `rope_cos_sin` takes the float64 vector of `default_inv_freq`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        dtype: Dtype of the result. The powers are taken in float64 and rounded once.

    Returns:
        `head_dim // 2` frequencies in radians per position. The first one is 1.

    Raises:
        ValueError: If `head_dim` is not positive and even, `base` is not positive and
            finite, or `dtype` is not a real float. float64 outside 64-bit mode is
            refused too; `default_inv_freq` returns float64 on the host.

    Example:
        >>> rope_inv_freq(4)
        Array([1.  , 0.01], dtype=float32)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    dtype = result_dtype("dtype", dtype, jnp.float32)
    # Rounded by NumPy: without x64, JAX would go through float32 first.
    return jnp.asarray(geometric(head_dim, base).astype(dtype))


def geometric(head_dim, base):
    """`base ** (-2 i / head_dim)`, with its checks, for every method."""
    head_dim = positive_multiple("head_dim", head_dim, 2)
    base = number("base", base, positive=True)
    # Python's power, one at a time: NumPy's vector form is allowed to be less exact.
    exponents = [-i / head_dim for i in range(0, head_dim, 2)]
    try:
        return np.array([base**exponent for exponent in exponents])
    except OverflowError:
        message = f"{base=} must be larger, for float64 to hold its powers."
        raise ValueError(message) from None


def exact_geometric(head_dim, base):
    """`geometric`, for a caller that makes exact angles of it."""
    inv_freq = geometric(head_dim, base)
    if inv_freq.max() >= EXACT_LIMIT:
        raise ValueError(f"{base=} must give frequencies below 2**64.")
    return inv_freq


def extension_factor(factor) -> float:
    """The factor by which a context is extended, as a float; at least 1."""
    return number("factor", factor, 1.0)
