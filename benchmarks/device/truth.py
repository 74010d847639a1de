"""Cos and sin in multi-precision, of a million positions at once.

Frequencies have 60 decimal digits. A frequency in turns is a fraction of `2**-128`,
and its product with a position is exact in words of 32 bits, so that only the last
step, cos and sin of an angle below pi, is one of float64.
"""

from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal, localcontext

import numpy as np

DIGITS = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
WORDS = 4  # of 32 bits, the lowest first


def frequencies(head_dim: int, base: float) -> list[Decimal]:
    """Returns `base ** (-2 i / head_dim)` for each pair, in radians per position."""
    with localcontext(prec=DIGITS):
        log = Decimal(base).ln()
        return [(-log * 2 * i / head_dim).exp() for i in range(head_dim // 2)]


def largest_errors(cos, sin, positions, inv_freq: list[Decimal]) -> np.ndarray:
    """Returns the largest error at each position, of arrays `(positions, pairs)`."""

    def of_pair(pair):
        truth = cos_sin(positions, inv_freq[pair])
        made = cos[:, pair], sin[:, pair]
        errors = [np.abs(m - t) for m, t in zip(made, truth, strict=True)]
        return np.maximum(*errors)

    largest = np.zeros(len(positions))
    with ThreadPoolExecutor() as pool:  # NumPy lets the other threads run
        for errors in pool.map(of_pair, range(len(inv_freq))):
            np.maximum(largest, errors, out=largest)
    return largest


def cos_sin(positions: np.ndarray, frequency: Decimal) -> tuple[np.ndarray, np.ndarray]:
    """Returns cos and sin of `position * frequency` in float64, to about 1e-15.

    Args:
        positions: Integers in the range of int32, of any shape.
        frequency: The frequency, in radians per position.
    """
    with localcontext(prec=DIGITS):
        fraction = int(frequency / (2 * PI) * (1 << 32 * WORDS))
    positions = np.asarray(positions, np.int64)
    size = np.abs(positions).astype(np.uint64)
    low_bits, shift = np.uint64(2**32 - 1), np.uint64(32)
    words, carry = [], np.uint64(0)
    for k in range(WORDS):
        word = np.uint64(fraction >> 32 * k & 0xFFFFFFFF)
        product = size * word + carry  # below 2**31 * 2**32 + 2**32
        words.append(product & low_bits)
        carry = product >> shift
    # The carry is whole turns. As a signed number the rest is the nearest fraction.
    turns = (words[-1] << shift | words[-2]).view(np.int64)
    angle = turns * (2 * np.pi / 2**64)
    sin = np.sin(angle)
    return np.cos(angle), np.where(positions < 0, -sin, sin)
