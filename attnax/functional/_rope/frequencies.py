"""Inverse frequencies of rotary embeddings, made on the host in float64.

The plain progression, and the methods that change it by one rule for all pairs.
"""

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ..._checks import is_number, positive_multiple
from ..._dtypes import result_dtype
from ..._public import public


@public
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
    return geometric(head_dim, base)


@public
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
            `dtype` not a real float, or float64 without 64-bit mode: `default_inv_freq`
            has float64 on the host.

    Example:
        >>> rope_inv_freq(4)
        Array([1.  , 0.01], dtype=float32)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    dtype = result_dtype("dtype", dtype, jnp.float32)
    # Rounded by NumPy: without x64, JAX would go through float32 first.
    return jnp.asarray(geometric(head_dim, base).astype(dtype))


@public
def linear_inv_freq(
    head_dim: int, base: float = 10_000.0, *, factor: float
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Position interpolation: every frequency divided by `factor`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        factor: How many times longer the context becomes. At least 1.

    Returns:
        `head_dim // 2` frequencies in radians per position, the first `1 / factor`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> linear_inv_freq(4, factor=2.0)
        array([0.5  , 0.005])

    Reference:
        Chen et al., Extending Context Window of Large Language Models via Positional
        Interpolation, 2023, eq. 4. https://arxiv.org/abs/2306.15595
    """
    check_factor(factor)
    return geometric(head_dim, base) / factor


@public
def ntk_inv_freq(
    head_dim: int, base: float = 10_000.0, *, factor: float
) -> Float[np.ndarray, " {head_dim}//2"]:
    """NTK-aware scaling: the base becomes `base * factor ** (head_dim / (head_dim-2))`.

    The first frequency stays, the last one is divided by `factor`, and those between
    go over from one to the other.

    Args:
        head_dim: Number of features that rotate. Even, and at least 4: with one pair
            the first frequency is the last, and the rule says two things of it.
        base: Base of the geometric progression. Positive and finite.
        factor: By what the lowest frequency is divided. At least 1.

    Returns:
        `head_dim // 2` frequencies in radians per position, the first one 1.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> ntk_inv_freq(4, factor=2.0)
        array([1.   , 0.005])

    Reference:
        bloc97, NTK-Aware Scaled RoPE, 2023; Peng et al., YaRN, 2023, definition 1.
        https://arxiv.org/abs/2309.00071
    """
    check_factor(factor)
    return _ntk(head_dim, base, factor)


@public
def dynamic_ntk_inv_freq(
    head_dim: int,
    base: float = 10_000.0,
    *,
    factor: float,
    original_max_len: int,
    seq_len: int,
) -> Float[np.ndarray, " {head_dim}//2"]:
    """NTK-aware scaling by the length at hand: plain up to `original_max_len`.

    Beyond, it is `ntk_inv_freq` with the factor
    `factor * seq_len / original_max_len - (factor - 1)`.

    Args:
        head_dim: Number of features that rotate. Even, and at least 4.
        base: Base of the geometric progression. Positive and finite.
        factor: Slope of the scaling in the length. At least 1.
        original_max_len: Trained length in tokens. Positive.
        seq_len: Length in tokens to make frequencies for. Positive. Keys that were
            rotated for another length do not fit: choose the length once.

    Returns:
        `head_dim // 2` frequencies in radians per position, the first one 1.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> kwargs = dict(factor=2.0, original_max_len=8)
        >>> dynamic_ntk_inv_freq(4, **kwargs, seq_len=8)
        array([1.  , 0.01])
        >>> dynamic_ntk_inv_freq(4, **kwargs, seq_len=12)
        array([1.   , 0.005])

    Reference:
        emozilla, Dynamically Scaled RoPE, 2023; Peng et al., YaRN, 2023, section 3.3.
        https://arxiv.org/abs/2309.00071
    """
    check_factor(factor)
    check_positive("original_max_len", original_max_len)
    check_positive("seq_len", seq_len)
    ratio = max(seq_len, original_max_len) / original_max_len
    return _ntk(head_dim, base, factor * ratio - (factor - 1))


@public
def proportional_inv_freq(
    head_dim: int, base: float = 10_000.0, *, fraction: float, factor: float = 1.0
) -> Float[np.ndarray, " {head_dim}//2"]:
    """The first `fraction` of the plain frequencies, and 0 for the other pairs.

    Unlike a rotation of the leading features, the exponents are those of the whole
    head, and the features that stand still are the last ones of each half.

    Args:
        head_dim: Number of features of the head. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        fraction: Share of the pairs that turn, above 0 and at most 1. Their number is
            `int(fraction * head_dim // 2)`, at least one.
        factor: Every frequency is divided by it. At least 1.

    Returns:
        `head_dim // 2` frequencies in radians per position.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> proportional_inv_freq(8, fraction=0.5)
        array([1. , 0.1, 0. , 0. ])

    Reference:
        Gemma 4 in Hugging Face transformers 5.23,
        `_compute_proportional_rope_parameters`.
    """
    check_factor(factor)
    if not (is_number(fraction) and 0 < fraction <= 1):
        raise ValueError(f"{fraction=} must be above 0 and at most 1.")
    inv_freq = geometric(head_dim, base) / factor
    turning = int(fraction * head_dim // 2)
    if turning == 0:
        raise ValueError(f"{fraction=} must leave a pair of {head_dim=}.")
    inv_freq[turning:] = 0.0
    return inv_freq


def geometric(head_dim, base):
    """`base ** (-2 i / head_dim)`, with its checks, for every method."""
    head_dim = positive_multiple("head_dim", head_dim, 2)
    if not (is_number(base) and base > 0):
        raise ValueError(f"{base=} must be positive and finite.")
    # Python's power, one at a time: NumPy's vector form is allowed to be less exact.
    exponents = [-i / head_dim for i in range(0, head_dim, 2)]
    try:
        return np.array([float(base) ** exponent for exponent in exponents])
    except OverflowError:
        message = f"{base=} must be larger, for float64 to hold its powers."
        raise ValueError(message) from None


def check_factor(factor):
    """The rule of every factor by which a context is extended."""
    if not (is_number(factor) and factor >= 1):
        raise ValueError(
            f"{factor=} must be at least 1 and finite; it says how many "
            "times longer the context becomes."
        )


def check_positive(name, value):
    """The rule of lengths."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"{name}={value!r} must be positive and finite.")


def _ntk(head_dim, base, factor):
    inv_freq = geometric(head_dim, base)
    if head_dim == 2:
        raise ValueError(
            f"{head_dim=} must be at least 4: the rule keeps the first "
            "frequency and divides the last one, and here they are the same."
        )
    # Not a power of the new base: factor 1 changes no bit this way.
    steps = range(0, head_dim, 2)
    return inv_freq * np.array([float(factor) ** (-i / (head_dim - 2)) for i in steps])
