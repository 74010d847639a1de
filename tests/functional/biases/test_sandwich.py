"""Sandwich against the product of sinusoidal embeddings."""

import bias_laws
import numpy as np
import paper_bias_oracles as oracles
import pytest
from helpers import assert_close

import attnax.functional as F

Q, K = range(90, 150), range(150)


@pytest.mark.parametrize("width", (128, 6, 2))
def test_it_is_the_product_of_embeddings(width):
    bias = F.SandwichBias(5, width=width)
    actual = bias_laws.matrix(bias, None, Q, K)
    expected = oracles.sandwich(Q, K, 5, width)
    # A sum of cosines, each within 1.2e-7, added up by halves, and a product.
    magnitude = width / 2 * 5 / 8
    assert_close(actual, expected, magnitude=magnitude)
    assert_close(actual, np.minimum(expected, 0), magnitude=magnitude)


def test_frequencies_begin_at_the_first_and_not_at_one():
    actual = bias_laws.matrix(F.SandwichBias(5), None, Q, K)
    other = oracles.sandwich(Q, K, 5, 128, first=0)
    assert np.abs(np.asarray(actual) - other).max() > 0.5


def test_angles_are_exact_at_far_distances():
    bias = F.SandwichBias(1, width=4, base=100.0, factor=8.0)  # base ** -0.5 is 0.1
    at = np.array([2**24 + 1, 2**31 - 1, -(2**31) + 1])
    actual = bias_laws.matrix(bias, None, np.zeros(1, int), at)[0, 0]
    # By mpmath: cos(0.1 m) + cos(0.01 m) - 2, of the nearest float64 frequencies.
    frequencies = [100.0**-0.5, 100.0**-1.0]
    import mpmath

    with mpmath.workdps(60):
        expected = [
            float(sum(mpmath.cos(int(m) * mpmath.mpf(f)) for f in frequencies) - 2)
            for m in at
        ]
    # Each cosine is within 6e-7 there, and the head divides by 1 in the end.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2 * 6e-7 + 2 * 2**-23)


def test_a_cache_padding_and_packing_change_nothing():
    bias_laws.check_parts(F.SandwichBias(5, width=20), None)


def test_it_is_symmetric_zero_in_place_and_the_same_outside_jit():
    bias, at = F.SandwichBias(5, width=20), np.arange(30)
    biases = np.asarray(bias_laws.matrix(bias, None, at, at))
    np.testing.assert_array_equal(biases, biases.swapaxes(1, 2))
    assert (np.diagonal(biases, axis1=1, axis2=2) == 0).all()
    # The first head falls fastest, by a factor of the number of heads.
    np.testing.assert_allclose(biases[0], 5 * biases[4], rtol=2**-22)
    bias_laws.check_outside_jit(bias, None)
    bias_laws.check_low_precision(bias, None)


@pytest.mark.parametrize(
    "dtype, relative", [("float32", 2.0**-21), ("bfloat16", 2**-7)]
)
def test_channels_are_the_bias_but_for_a_constant(dtype, relative):
    bias, scale = F.SandwichBias(5), 0.125
    far = np.arange(60) + 2**24
    made = F.position_bias_channels(
        bias, None, far, far, scale=scale, dtype=np.dtype(dtype)
    )
    assert made.q.shape == (60, 5, 128) and made.k.shape == (60, 1, 128)
    q, k = (np.asarray(t, np.float64) for t in made)
    products = scale * np.einsum("qhw,kgw->hqk", q, k)
    heads = np.arange(1, 6)[:, None, None]
    expected = oracles.sandwich(range(60), range(60), 5, 128) + 64 * 5 / (8 * heads)
    # A product of two rounded numbers; 64 of them, of size 1 / h for the head.
    assert np.abs(products - expected).max() < relative * 64 * 5 / 8


@pytest.mark.errors
def test_bad_settings_are_refused():
    with pytest.raises(
        ValueError, match="SandwichBias: num_heads=0 must be a positive"
    ):
        F.SandwichBias(0)
    with pytest.raises(ValueError, match="width=7 must be positive and even"):
        F.SandwichBias(2, width=7)
    with pytest.raises(
        ValueError, match=r"base=0\.5 must be a finite number of at least"
    ):
        F.SandwichBias(2, base=0.5)
    with pytest.raises(ValueError, match="SandwichBias has no parameters"):
        F.apply_position_bias(F.SandwichBias(2), np.ones(2), [0], [0])
