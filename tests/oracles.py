"""Float64 and multi-precision references, written from the papers."""

import mpmath
import numpy as np


def inv_freq(width, base):
    """Su et al. 2021, eq. 15, in 60 digits: one mpf per pair."""
    with mpmath.workdps(60):
        return [
            mpmath.mpf(base) ** (-mpmath.mpf(k) / width) for k in range(0, width, 2)
        ]


def angles(positions, frequencies):
    """`position * frequency` modulo one turn, exactly, then as float64 in radians."""
    positions = np.asarray(positions)
    out = np.empty((positions.size, len(frequencies)))
    with mpmath.workdps(60):
        for j, frequency in enumerate(frequencies):
            turns = mpmath.mpf(frequency) / (2 * mpmath.pi)
            for i, position in enumerate(positions.ravel().tolist()):
                phase = position * turns
                out[i, j] = float(2 * mpmath.pi * (phase - mpmath.nint(phase)))
    return out.reshape(*positions.shape, len(frequencies))


def cos_sin(positions, width, base):
    """Cos and sin of the RoPE angles, in float64 of exactly reduced phases."""
    angle = angles(positions, inv_freq(width, base))
    return np.cos(angle), np.sin(angle)


def rope(x, positions, rotary_dim, base, layout):
    """Su et al. 2021, eq. 13: a complex product per pair; heads after positions."""
    x = np.asarray(x, np.float64)
    turn = np.exp(1j * angles(positions, inv_freq(rotary_dim, base)))
    out = x.copy()
    for i in range(rotary_dim // 2):
        a, b = (
            (2 * i, 2 * i + 1) if layout == "interleaved" else (i, i + rotary_dim // 2)
        )
        z = (x[..., a] + 1j * x[..., b]) * turn[..., i][..., None]
        out[..., a], out[..., b] = z.real, z.imag
    return out


def sinusoids(positions, d_model):
    """Vaswani et al. 2017, section 3.5, column by column."""
    positions = np.asarray(positions)
    out = np.empty((*positions.shape, d_model))
    with mpmath.workdps(60):
        for j in range(d_model):
            frequency = mpmath.mpf(10_000) ** (-mpmath.mpf(j - j % 2) / d_model)
            angle = angles(positions, [frequency])[..., 0]
            out[..., j] = np.cos(angle) if j % 2 else np.sin(angle)
    return out


def patches(image, patch_height, patch_width):
    """Dosovitskiy et al. 2021, section 3.1, patch by patch, in loops."""
    image = np.asarray(image)
    *batch, height, width, channels = image.shape
    rows = []
    for top in range(0, height, patch_height):
        for left in range(0, width, patch_width):
            block = image[..., top : top + patch_height, left : left + patch_width, :]
            rows.append(block.reshape(*batch, patch_height * patch_width * channels))
    return np.stack(rows, axis=-2)
