"""References for ropes, in 60 digits and in complex numbers, written from the papers.

Frequencies are lists of one mpf per pair, before any rounding.
"""

from decimal import Decimal

import mpmath
import numpy as np
import oracles


def linear(width, base, factor):
    """Chen et al. 2023, eq. 4: the position divided by the factor."""
    with mpmath.workdps(60):
        return [frequency / factor for frequency in oracles.inv_freq(width, base)]


def ntk(width, base, factor):
    """Peng et al. 2023, definition 1: the plain frequencies of another base."""
    with mpmath.workdps(60):
        power = mpmath.mpf(width) / (width - 2)
        return oracles.inv_freq(width, mpmath.mpf(base) * mpmath.mpf(factor) ** power)


def dynamic_ntk(width, base, factor, original_max_len, seq_len):
    """The rule of transformers, `_compute_dynamic_ntk_parameters`."""
    with mpmath.workdps(60):
        longest = max(seq_len, original_max_len)
        scale = mpmath.mpf(factor) * longest / original_max_len - mpmath.mpf(factor) + 1
        return ntk(width, base, scale)


def yarn(width, base, factor, original_max_len, fast=32.0, slow=1.0, truncate=True):
    """Peng et al. 2023, section 3.2; the ramp over indices as in the authors' code."""
    out = []
    with mpmath.workdps(60):

        def index(turns):
            # Where `original_max_len * base ** (-2 i / width)` is so many turns.
            share = original_max_len / (2 * mpmath.pi * mpmath.mpf(turns))
            return mpmath.mpf(width) / 2 * mpmath.log(share, base)

        first, last = index(fast), index(slow)
        if truncate:
            first, last = mpmath.floor(first), mpmath.ceil(last)
        first, last = max(first, 0), min(last, width - 1)
        if first == last:
            last += mpmath.mpf("0.001")
        for i, frequency in enumerate(oracles.inv_freq(width, base)):
            kept = min(max((last - i) / (last - first), 0), 1)
            out.append(kept * frequency + (1 - kept) * frequency / factor)
    return out


def llama3(width, base, factor, low, high, original_max_len):
    """Grattafiori et al. 2024: three cases by the wavelength, as Meta wrote them."""
    out = []
    with mpmath.workdps(60):
        for frequency in oracles.inv_freq(width, base):
            wavelength = 2 * mpmath.pi / frequency
            if wavelength < mpmath.mpf(original_max_len) / high:
                out.append(frequency)
            elif wavelength > mpmath.mpf(original_max_len) / low:
                out.append(frequency / factor)
            else:
                smooth = (original_max_len / wavelength - low) / (high - low)
                out.append((1 - smooth) * frequency / factor + smooth * frequency)
    return out


def longrope(width, base, factors):
    """Ding et al. 2024, eq. 3: a factor on every wavelength."""
    with mpmath.workdps(60):
        wavelength = lambda i: mpmath.mpf(base) ** (mpmath.mpf(2 * i) / width)
        return [1 / (factor * wavelength(i)) for i, factor in enumerate(factors)]


def proportional(width, base, fraction, factor):
    """Gemma 4 in transformers: the turning pairs in decimal arithmetic."""
    turning = int(Decimal(str(fraction)) * width / 2)
    plain = linear(width, base, factor)
    return plain[:turning] + [mpmath.mpf(0)] * (width // 2 - turning)


def growth(factor, weight):
    """Peng et al. 2023, eq. 22, with a weight on the logarithm; 1 up to factor 1."""
    return 1 + mpmath.mpf(weight) / 10 * mpmath.log(factor)


def temperature(position, beta, original_max_len, offset):
    """Llama 4, in Python's integers."""
    steps = (position + offset) // original_max_len
    return float(1 + mpmath.mpf(beta) * mpmath.log(1 + steps))


def channels(rope, head_dim):
    """Of every pair: the two channels that it is read from, the two it is put in."""
    pairs = len(rope.inv_freq)
    start = {"leading": 0, "trailing": head_dim - 2 * pairs}.get(
        rope.rotary_start, rope.rotary_start
    )
    block = pairs // rope.num_blocks
    for i in range(pairs):
        half = start + i // block * 2 * block + i % block
        in_halves, in_turn = (half, half + block), (start + 2 * i, start + 2 * i + 1)
        yield {
            "half": (in_halves, in_halves),
            "interleaved": (in_turn, in_turn),
            "interleaved_to_half": (in_turn, in_halves),
        }[rope.layout]


def rotate(rope, x, positions):
    """Su et al. 2021, eq. 13: a complex product per pair; heads after positions."""
    x, positions = np.asarray(x, np.float64), np.asarray(positions)
    out = x.copy()
    for i, (read, written) in enumerate(channels(rope, x.shape[-1])):
        axes = rope.axis_of_pair
        coordinate = positions if axes is None else positions[..., axes[i]]
        angle = oracles.angles(coordinate, [rope.inv_freq[i]])
        z = (x[..., read[0]] + 1j * x[..., read[1]]) * np.exp(1j * angle)
        z *= rope.attention_factor
        out[..., written[0]], out[..., written[1]] = z.real, z.imag
    return out


def matrix(rope, head_dim, position):
    """The rotation at one position (or tuple of coordinates), as a float64 matrix."""
    identity = np.eye(head_dim)[:, None, None, :]  # one "batch" per channel
    return rotate(rope, identity, np.asarray([position]))[:, 0, 0, :].T
