"""References for rotations in complex numbers, and for factors in 60 digits."""

import mpmath
import numpy as np
import oracles


def growth(factor, weight):
    """Peng et al. 2023, eq. 22, with a weight on the logarithm; 1 up to factor 1."""
    return 1 + mpmath.mpf(weight) / 10 * mpmath.log(factor)


def temperature(position, beta, original_max_len, offset):
    """Llama 4, in Python's integers."""
    steps = (position + offset) // original_max_len
    return float(1 + mpmath.mpf(beta) * mpmath.log(1 + steps))


def channels(rope, head_dim):
    """Returns for every pair the two channels it comes from and the two it goes to."""
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
