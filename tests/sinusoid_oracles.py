"""Sinusoids as each family describes its own, column by column, in 60 digits.

A column is a function, an axis of coordinates and a frequency; `None` is zeros.
"""

import functools

import mpmath
import numpy as np
import oracles

PERIOD = 10_000


def evaluate(coordinates, columns):
    """Float64 values of columns at coordinates `(..., num_axes)`, phases exact."""
    coordinates = np.asarray(coordinates)
    values, where = np.unique(coordinates, return_inverse=True)
    where = where.reshape(coordinates.shape)
    angles = functools.cache(
        lambda frequency: oracles.angles(values, [frequency])[:, 0]
    )
    out = np.zeros((*coordinates.shape[:-1], len(columns)))
    for j, column in enumerate(columns):
        if column is not None:
            function, axis, frequency = column
            out[..., j] = getattr(np, function)(angles(frequency)[where[..., axis]])
    return out


def along(positions, columns):
    """The columns of a family of one axis, `(function, frequency)` each."""
    wide = [None if column is None else (column[0], 0, column[1]) for column in columns]
    return evaluate(np.asarray(positions)[..., None], wide)


def halves(frequencies, *, first="sin", second="cos"):
    return [(first, f) for f in frequencies] + [(second, f) for f in frequencies]


def decaying(count, last, period=PERIOD):
    """`exp(-k ln(period) / last)`, the form of tensor2tensor and its descendants."""
    with mpmath.workdps(60):
        step = mpmath.log(period) / (last or 1)
        return [mpmath.exp(-k * step) for k in range(count)]


def paper(width):
    """Vaswani et al. 2017, section 3.5; VideoMAE."""
    with mpmath.workdps(60):
        return [
            (
                "cos" if j % 2 else "sin",
                mpmath.mpf(PERIOD) ** (-mpmath.mpf(j // 2 * 2) / width),
            )
            for j in range(width)
        ]


def roformer(width):
    """The paper's even columns, then its odd ones."""
    return paper(width)[0::2] + paper(width)[1::2]


def tensor2tensor(width):
    """A step of `ln(10000) / max(h - 1, 1)`, zeros in the last column of odd widths."""
    half = width // 2
    return halves(decaying(half, half - 1)) + [None] * (width % 2)


def musicgen(width):
    half = width // 2
    columns = halves(decaying(half, half - 1), first="cos", second="sin")
    return columns + [None] * (width % 2)


def maxtext(width):
    """tensor2tensor without the last column."""
    return tensor2tensor(width - width % 2)


def x_transformers(width):
    """`theta ** -(k / h)`; the learned scalar is left out."""
    half = width // 2
    with mpmath.workdps(60):
        return halves(
            [mpmath.mpf(PERIOD) ** -(mpmath.mpf(k) / half) for k in range(half)]
        )


def diffusers(width, *, flip=False, shift=1, scale=1, period=PERIOD):
    half = width // 2
    # One frequency is exp(0), however the exponent's 0 / 0 comes out in their code.
    last = half - mpmath.mpf(shift) if half > 1 else 1
    frequencies = [scale * f for f in decaying(half, last, period)]
    columns = halves(frequencies)
    if flip:
        columns = columns[half:] + columns[:half]
    return columns + [None] * (width % 2)


def mlx(width, *, low=1e-4, high=1.0, cos_first=False, full_turns=False):
    """Frequencies evenly spaced in their logarithms, the highest first."""
    half = width // 2
    with mpmath.workdps(60):
        ends = mpmath.log(low), mpmath.log(high)
        parts = (
            [1 - mpmath.mpf(k) / (half - 1) for k in range(half)] if half > 1 else [1]
        )
        turn = 2 * mpmath.pi if full_turns else 1
        frequencies = [
            mpmath.exp(part * (ends[1] - ends[0]) + ends[0]) * turn for part in parts
        ]
    names = ("cos", "sin") if cos_first else ("sin", "cos")
    return halves(frequencies, first=names[0], second=names[1])


def kimi(rows, width):
    """Row 0 of their table is zeros, row `f + 1` frame `f`."""
    with mpmath.workdps(60):
        frequencies = [
            1 / mpmath.mpf(PERIOD) ** (mpmath.mpf(j) / width)
            for j in range(0, width, 2)
        ]
    rows = np.asarray(rows)
    table = along(rows - 1, halves(frequencies))
    table[rows == 0] = 0
    return table


def axis_columns(axis, width, *, last=None, scale=1):
    """`[sin, cos]` of one axis with `width` features, `T ** (-k / last)`."""
    count = width // 2
    frequencies = decaying(count, count if last is None else last)
    with mpmath.workdps(60):
        frequencies = [scale * f for f in frequencies]
    return [(name, axis, f) for name in ("sin", "cos") for f in frequencies]


def grid_rows_first(grid, width):
    """`[sin h, cos h, sin w, cos w]`: transformers' shared function."""
    return evaluate(grid, axis_columns(0, width // 2) + axis_columns(1, width // 2))


def grid_columns_first(grid, width, scales=(1, 1)):
    """`[sin w, cos w, sin h, cos h]`: MAE and diffusers."""
    columns = axis_columns(1, width // 2, scale=scales[1])
    return evaluate(grid, columns + axis_columns(0, width // 2, scale=scales[0]))


def big_vision(grid, width):
    """`[sin x, cos x, sin y, cos y]` with `T ** (-k / (D / 4 - 1))`."""
    last = width // 4 - 1
    columns = axis_columns(1, width // 2, last=last)
    return evaluate(grid, columns + axis_columns(0, width // 2, last=last))


def timm(grid, width):
    """`[sin h, sin w, cos h, cos w]`."""
    frequencies = decaying(width // 4, width // 4)
    return evaluate(
        grid,
        [
            (name, axis, f)
            for name in ("sin", "cos")
            for axis in (0, 1)
            for f in frequencies
        ],
    )


def cogvideox(grid, width, scales=(1, 1, 1)):
    """`[t, w, h]`, a quarter of the width for frames and the rest for space."""
    columns = []
    for axis, part in ((0, width // 4), (2, width * 3 // 8), (1, width * 3 // 8)):
        columns += axis_columns(axis, part, scale=scales[axis])
    return evaluate(grid, columns)


def detr(mask, width, *, scale=2 * np.pi, back=0):
    """Pixel by pixel, in float64; `scale` None counts without normalizing.

    `back` is 1/2 in Deformable DETR, which counts to the centers of pixels.
    """
    mask = np.asarray(mask)
    out = np.zeros((*mask.shape, width))
    features = width // 2
    for index in np.ndindex(mask.shape):
        *batch, row, column = index
        of_column, of_row = mask[(*batch, slice(None), column)], mask[(*batch, row)]
        for block, (line, place) in enumerate(((of_column, row), (of_row, column))):
            count = line[: place + 1].sum()
            if scale is not None:
                count = (count - back) / (line.sum() + 1e-6) * scale
            for j in range(features):
                angle = count / 10_000.0 ** (2 * (j // 2) / features)
                value = np.sin(angle) if j % 2 == 0 else np.cos(angle)
                out[(*index, block * features + j)] = value
    return out


def fourier(coordinates, matrix):
    """Real and imaginary parts of `exp(2 pi i v B)`, point by point."""
    coordinates, matrix = (np.asarray(t, np.float64) for t in (coordinates, matrix))
    phase = np.exp(2j * np.pi * np.einsum("...a,af->...f", coordinates, matrix))
    return np.concatenate([phase.imag, phase.real], axis=-1)
