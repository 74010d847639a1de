"""Inverse frequencies of methods that change the plain ones by one rule for all."""

from typing import SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Float

from ..._checks import number
from ..._public import public
from .frequencies import extension_factor, geometric


@public
def linear_inv_freq(
    head_dim: SupportsIndex, base: SupportsFloat = 10_000.0, *, factor: SupportsFloat
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Frequencies of position interpolation: each is divided by `factor`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        factor: How many times longer the context becomes. At least 1.

    Returns:
        `head_dim // 2` frequencies in radians per position. The first is `1 / factor`.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> linear_inv_freq(4, factor=2.0)
        array([0.5  , 0.005])

    Reference:
        Chen et al., Extending Context Window of Large Language Models via Positional
        Interpolation, 2023, eq. 4. https://arxiv.org/abs/2306.15595
    """
    factor = extension_factor(factor)
    return geometric(head_dim, base) / factor


@public
def ntk_inv_freq(
    head_dim: SupportsIndex, base: SupportsFloat = 10_000.0, *, factor: SupportsFloat
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Frequencies of NTK-aware scaling, which makes the base larger.

    The base becomes `base * factor ** (head_dim / (head_dim - 2))`. The first frequency
    stays the same, the last one is divided by `factor`, and those between are divided
    by powers of `factor` whose exponents grow from 0 to 1.

    Args:
        head_dim: Number of features that rotate. Even, and at least 4: with one pair,
            the first frequency is also the last, and the rule contradicts itself.
        base: Base of the geometric progression. Positive and finite.
        factor: Divisor of the lowest frequency. At least 1.

    Returns:
        `head_dim // 2` frequencies in radians per position. The first one is 1.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> ntk_inv_freq(4, factor=2.0)
        array([1.   , 0.005])

    Reference:
        bloc97, NTK-Aware Scaled RoPE, 2023; Peng et al., YaRN, 2023, definition 1.
        https://arxiv.org/abs/2309.00071
    """
    return _ntk(head_dim, base, extension_factor(factor))


@public
def dynamic_ntk_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    *,
    factor: SupportsFloat,
    original_max_len: SupportsFloat,
    seq_len: SupportsFloat,
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Frequencies of NTK-aware scaling whose factor grows with the sequence length.

    Up to `original_max_len` they are the plain frequencies. Beyond it they are those of
    `ntk_inv_freq` with the factor
    `factor * seq_len / original_max_len - (factor - 1)`.

    Args:
        head_dim: Number of features that rotate. Even, and at least 4.
        base: Base of the geometric progression. Positive and finite.
        factor: Growth of the scaling per `original_max_len` tokens. At least 1.
        original_max_len: Trained length in tokens. Positive.
        seq_len: Length in tokens to make frequencies for. Positive. Choose it once:
            keys that were rotated for another length do not match.

    Returns:
        `head_dim // 2` frequencies in radians per position. The first one is 1.

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
    factor = extension_factor(factor)
    original_max_len = number("original_max_len", original_max_len, positive=True)
    seq_len = number("seq_len", seq_len, positive=True)
    ratio = max(seq_len, original_max_len) / original_max_len
    return _ntk(head_dim, base, factor * ratio - (factor - 1))


@public
def mixed_ntk_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    *,
    factor: SupportsFloat,
    power: SupportsFloat = 1.0,
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Returns the plain frequencies, each divided by a power of `factor`.

    Pair `i` of `n` is divided by `factor ** (((i + 1) / n) ** power)`, so that the last
    pair is divided by `factor` itself. With a `power` of 0, it is `linear_inv_freq`.
    With a `power` of 1, it differs from `ntk_inv_freq`, which keeps the first pair.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        factor: How many times longer the context becomes. At least 1.
        power: Exponent of `(i + 1) / n` (`mixed_b` in configs). At least 0; the larger
            it is, the less the first pairs change.

    Returns:
        `head_dim // 2` frequencies in radians per position.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> mixed_ntk_inv_freq(4, factor=4.0)
        array([0.5   , 0.0025])

    Reference:
        Su, The Upgrade Path of the Transformer 11 (in Chinese), 2023, eq. 10 to 13.
        https://kexue.fm/archives/9706
    """
    factor = extension_factor(factor)
    power = number("power", power, 0.0)
    inv_freq = geometric(head_dim, base)
    shares = ((i + 1) / inv_freq.size for i in range(inv_freq.size))
    return inv_freq / np.array([factor**share**power for share in shares])


@public
def proportional_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    *,
    fraction: SupportsFloat,
    factor: SupportsFloat = 1.0,
) -> Float[np.ndarray, " {head_dim}//2"]:
    """The first `fraction` of the plain frequencies, and 0 for the other pairs.

    A rope that rotates only the leading features differs from this one in two ways:
    its exponents are those of the rotating features, not those of the whole head, and
    the features that it leaves alone are the last ones of the head, not the last ones
    of each half.

    Args:
        head_dim: Number of features of the head. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        fraction: Share of the pairs that turn, above 0 and at most 1. Their number is
            `int(fraction * head_dim // 2)`, which must be at least 1.
        factor: Divisor of every frequency. At least 1.

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
    factor = extension_factor(factor)
    fraction = number("fraction", fraction, 0.0, 1.0)
    inv_freq = geometric(head_dim, base) / factor
    turning = int(fraction * (2 * inv_freq.size) // 2)
    if turning == 0:
        raise ValueError(f"{fraction=} must leave a pair of {head_dim=} that turns.")
    inv_freq[turning:] = 0.0
    return inv_freq


def _ntk(head_dim, base, factor):
    inv_freq = geometric(head_dim, base)
    width = 2 * inv_freq.size
    if width == 2:
        raise ValueError(
            f"{head_dim=} must be at least 4: the rule keeps the first "
            "frequency and divides the last one, and here they are the same."
        )
    # Not a power of the new base: this way, factor 1 changes no bit.
    steps = range(0, width, 2)
    return inv_freq * np.array([factor ** (-i / (width - 2)) for i in steps])
