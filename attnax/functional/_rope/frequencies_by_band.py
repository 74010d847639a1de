"""Inverse frequencies of methods that treat high and low ones differently."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Float, Real

from ..._checks import check_flags, number, number_array
from ..._public import public
from .frequencies import extension_factor, geometric


@public
def yarn_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    *,
    factor: SupportsFloat,
    original_max_len: SupportsFloat,
    beta_fast: SupportsFloat = 32.0,
    beta_slow: SupportsFloat = 1.0,
    truncate: bool = True,
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Frequencies of YaRN: fast pairs keep theirs, and slow pairs are interpolated.

    A pair that makes `beta_fast` turns or more over the trained length keeps its
    frequency. For a pair that makes `beta_slow` turns or fewer, it is divided by
    `factor`. Between these two pairs, the share of the division grows linearly with the
    index of the pair. The first pair always keeps its frequency, and all pairs do where
    even the last one makes `beta_fast` turns. The method also scales cos and sin: see
    `yarn_attention_factor`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Above 1 and finite.
        factor: How many times longer the context becomes. At least 1.
        original_max_len: Trained length in tokens. Positive.
        beta_fast: Number of turns from which a frequency is kept. At least `beta_slow`.
        beta_slow: Number of turns up to which a frequency is divided by `factor`.
            Positive.
        truncate: Whether the bounds of the transition are rounded outwards to whole
            indices. Most models do; gpt-oss does not.

    Returns:
        `head_dim // 2` frequencies in radians per position.

    Raises:
        ValueError: If an argument is out of its range, or the bounds cross because
            `original_max_len` is too short or too long for `base`.

    Example:
        >>> yarn_inv_freq(8, factor=4.0, original_max_len=4096)
        array([1.00e+00, 1.00e-01, 6.25e-03, 2.50e-04])

    Reference:
        Peng et al., YaRN, 2023, definitions 2 and 3. https://arxiv.org/abs/2309.00071;
        the bounds as in Hugging Face transformers 5.23, `_compute_yarn_parameters`.
    """
    factor = extension_factor(factor)
    original_max_len = number("original_max_len", original_max_len, positive=True)
    beta_slow, beta_fast = _turns(beta_slow=beta_slow, beta_fast=beta_fast)
    check_flags(truncate=truncate)
    inv_freq = geometric(head_dim, base)
    base, width = float(base), 2 * inv_freq.size
    if base <= 1:
        raise ValueError(f"{base=} must be above 1.")

    def index_of(turns):
        """Returns the index, a fraction, of the pair that makes so many turns."""
        ratio = original_max_len / (turns * 2 * math.pi)
        return width * math.log(ratio) / (2 * math.log(base))

    low, high = index_of(beta_fast), index_of(beta_slow)
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    # The upper limit is about twice the number of pairs, as in every released model.
    low, high = max(low, 0), min(high, width - 1)
    if factor == 1:  # which changes nothing, even where the bounds cross
        return inv_freq
    if low > high:
        raise ValueError(
            f"{original_max_len=} must be such that some pair makes between "
            f"{beta_slow=} and {beta_fast=} turns with {base=}."
        )
    if low == high:
        high += 0.001
    ramp = np.clip((np.arange(inv_freq.size) - low) / (high - low), 0.0, 1.0)
    return inv_freq * ((1.0 - ramp) + ramp / factor)


@public
def llama3_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    *,
    factor: SupportsFloat,
    low_freq_factor: SupportsFloat,
    high_freq_factor: SupportsFloat,
    original_max_len: SupportsFloat,
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Frequencies of Llama 3.1: high ones stay, and low ones are interpolated.

    A pair makes `n` turns over the trained length. Its frequency stays the same where
    `n > high_freq_factor` and is divided by `factor` where `n < low_freq_factor`.
    Between the two, it is a blend of both, linear in `n`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        factor: Divisor of the low frequencies. At least 1.
        low_freq_factor: Number of turns up to which a frequency is low. Positive.
        high_freq_factor: Number of turns from which a frequency is high. At least
            `low_freq_factor`. Where both are the same, as in Llama 4 Scout, nothing is
            blended.
        original_max_len: Trained length in tokens. Positive.

    Returns:
        `head_dim // 2` frequencies in radians per position.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> kwargs = dict(low_freq_factor=1.0, high_freq_factor=4.0)
        >>> llama3_inv_freq(4, factor=8.0, original_max_len=256, **kwargs)
        array([1.     , 0.00125])

    Reference:
        Grattafiori et al., The Llama 3 Herd of Models, 2024, section 3.4.2.
        https://arxiv.org/abs/2407.21783; the rule as in Hugging Face transformers
        5.23, `_compute_llama3_parameters`.
    """
    factor = extension_factor(factor)
    original_max_len = number("original_max_len", original_max_len, positive=True)
    low_freq_factor, high_freq_factor = _turns(
        low_freq_factor=low_freq_factor, high_freq_factor=high_freq_factor
    )
    inv_freq = geometric(head_dim, base)
    turns = original_max_len * inv_freq / (2 * math.pi)
    if low_freq_factor == high_freq_factor:
        kept = np.where(turns < low_freq_factor, 0.0, 1.0)
    else:
        share = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor)
        kept = np.clip(share, 0.0, 1.0)
    return inv_freq * (kept + (1.0 - kept) / factor)


@public
def longrope_inv_freq(
    head_dim: SupportsIndex,
    base: SupportsFloat = 10_000.0,
    *,
    factors: Sequence | Real[np.ndarray, " {head_dim}//2"],
) -> Float[np.ndarray, " {head_dim}//2"]:
    """Frequencies of LongRoPE: each is divided by a factor of its own.

    The factors were found by search. Models ship two lists of them, for short and for
    long sequences. Choose one by the length, and only once: keys that were rotated with
    the other list do not match. The method also scales cos and sin: see
    `longrope_attention_factor`.

    Args:
        head_dim: Number of features that rotate. Positive and even.
        base: Base of the geometric progression. Positive and finite.
        factors: One factor per pair. Positive and finite.

    Returns:
        `head_dim // 2` frequencies in radians per position.

    Raises:
        ValueError: If an argument is out of its range, or `factors` has another length.

    Example:
        >>> longrope_inv_freq(4, factors=[1.0, 4.0])
        array([1.    , 0.0025])

    Reference:
        Ding et al., LongRoPE, 2024, section 3. https://arxiv.org/abs/2402.13753
    """
    inv_freq = geometric(head_dim, base)
    factors = np.asarray(number_array("factors", factors), np.float64)
    if factors.shape != inv_freq.shape:
        raise ValueError(
            f"factors of shape {factors.shape} must hold one number for each "
            f"of the {inv_freq.size} pairs of {head_dim=}."
        )
    if not ((factors > 0) & np.isfinite(factors)).all():
        raise ValueError(f"factors={factors.tolist()} must be positive and finite.")
    return inv_freq / factors


def _turns(**bounds):
    """Two numbers of turns as floats: both positive, and the second not smaller."""
    (low_name, low), (high_name, high) = bounds.items()
    low = number(low_name, low, positive=True)
    high = number(high_name, high)
    if high < low:
        raise ValueError(f"{high_name}={high!r} must be at least {low_name}={low!r}.")
    return low, high
