"""Inverse frequencies of mixed NTK scaling, made on the host in float64."""

from typing import SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Float

from ..._checks import number
from ..._public import public
from .frequencies import extension_factor, geometric


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
        power: Exponent of the share of a pair (`mixed_b` in configs). At least 0; the
            larger, the less the first pairs change.

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
