"""Vectors of pairs of tokens: Abramson et al. 2024, supplement, algorithm 3.

https://doi.org/10.1038/s41586-024-07487-w
"""

import numpy as np


def encoding(weight, residue, chain, copy, entity, token, *, residues, copies):
    """The sum of four columns of `weight`, `(width, columns)`, for each pair.

    The inputs are integers `(len,)`; distances are query minus key, clipped to
    `residues` or `copies`. A last column of each group holds pairs out of its scope.
    """
    wide = 2 * residues + 2

    def column(first, second, bins, in_scope):
        clipped = min(max(int(first) - int(second), -bins), bins) + bins
        return clipped if in_scope else 2 * bins + 1

    weight, n = np.asarray(weight, np.float64), len(residue)
    out = np.zeros((n, n, len(weight)))
    for i, j in np.ndindex(n, n):
        same = chain[i] == chain[j]
        together = same and residue[i] == residue[j]
        out[i, j] += weight[:, column(residue[i], residue[j], residues, same)]
        out[i, j] += weight[:, wide + column(token[i], token[j], residues, together)]
        out[i, j] += weight[:, 2 * wide] * (entity[i] == entity[j])
        place = column(copy[i], copy[j], copies, not same)
        out[i, j] += weight[:, 2 * wide + 1 + place]
    return out
