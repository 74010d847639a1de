"""Multi-precision cos and sin, which errors of accelerators are held against."""

import numpy as np
import oracles

from benchmarks.device import truth


def test_truth_is_that_of_multi_precision():
    positions = np.array(
        [0, 1, -1, 255, 2047, 131_071, -1_000_003, 2**27 - 1, 2**31 - 1, -(2**31)]
    )
    for base in (1e4, 5e5):
        cos, sin = oracles.cos_sin(positions, 64, base)
        for pair, frequency in enumerate(truth.frequencies(64, base)):
            made = truth.cos_sin(positions, frequency)
            # A product, cos or sin, and the product of the oracle: below pi each.
            for m, expected in zip(made, (cos, sin), strict=True):
                np.testing.assert_allclose(m, expected[:, pair], rtol=0, atol=2e-15)


def test_largest_errors_are_those_of_the_worst_pair():
    positions = np.array([3, -70_000], np.int32)
    inv_freq = truth.frequencies(8, 1e4)
    cos, sin = np.stack([truth.cos_sin(positions, f) for f in inv_freq], axis=-1)
    cos[0, 2] += 1e-3
    sin[1, 1] -= 2e-3
    found = truth.largest_errors(cos, sin, positions, inv_freq)
    np.testing.assert_allclose(found, [1e-3, 2e-3], rtol=1e-9)
