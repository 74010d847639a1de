"""Scores of Transformer-XL, pair by pair: Dai et al. 2019, section 3.3.

`(q + u) . k + (q + v) . W r(i - j)`, https://arxiv.org/abs/1901.02860
"""

import numpy as np


def sinusoids(position, width, *, interleaved):
    """Sines and cosines of a distance, in turn or in halves."""
    angles = float(position) * 10_000.0 ** (-np.arange(0, width, 2) / width)
    if interleaved:
        return np.stack([np.sin(angles), np.cos(angles)], -1).reshape(width)
    return np.concatenate([np.sin(angles), np.cos(angles)])


def timescales(position, width):
    """Sines and cosines in halves, whose last wave is 10000 times the first."""
    n = width // 2
    angles = float(position) * 10_000.0 ** (-np.arange(n) / max(n - 1, 1))
    return np.concatenate([np.sin(angles), np.cos(angles)])


def position_bias(q, v, project, encode, distances):
    """`(q + v) . project(encode(distance)) / sqrt(width)`, distance query minus key.

    `q` is `(batch, q_len, heads, width)`; `project` is `(heads, width, d_model)`.
    A distance of `None` gives 0.
    """
    q = np.asarray(q, np.float64) + v
    out = np.zeros((q.shape[0], q.shape[2], *distances.shape))
    for (i, j), distance in np.ndenumerate(distances):
        if distance is not None:
            key = np.einsum("hdm,m->hd", project, encode(distance))
            out[:, :, i, j] = np.einsum("bhd,hd->bh", q[:, i], key)
    return out / np.sqrt(q.shape[-1])


def content_bias(u, k):
    """`u . k / sqrt(width)`, the same for every query: `(batch, heads, 1, k_len)`."""
    k = np.asarray(k, np.float64)
    return np.einsum("hd,bkhd->bhk", u, k)[:, :, None] / np.sqrt(k.shape[-1])


def segment_bias(q, s, segments, same):
    """`(q + s) . segments[0 or 1] / sqrt(width)`; `same` picks a row for each pair.

    `same` is `(batch, q_len, k_len)` of row numbers; `segments` is `(2, heads, width)`.
    """
    q = np.asarray(q, np.float64) + s
    of_row = np.einsum("bqhd,shd->bhqs", q, np.asarray(segments, np.float64))
    out = np.where(same[:, None] == 1, of_row[..., 1:], of_row[..., :1])
    return out / np.sqrt(q.shape[-1])


def distances(q_positions, k_positions):
    """Query minus key, as Python's integers."""
    out = np.empty((len(q_positions), len(k_positions)), object)
    for i, j in np.ndindex(out.shape):
        out[i, j] = int(q_positions[i]) - int(k_positions[j])
    return out
