import mpmath
import numpy as np
import oracles
from hypothesis import given
from hypothesis import strategies as st

from attnax.functional import _rope_phase as phase


@given(exponent=st.integers(-1074, 63), mantissa=st.floats(1.0, 1.9999))
def test_words_are_the_nearest_64_bit_fraction_of_a_turn(exponent, mantissa):
    for frequency in (mantissa * 2.0**exponent, -mantissa * 2.0**exponent):
        high, low = phase.phase_words(np.array([frequency]))[:, 0].tolist()
        with mpmath.workprec(600):
            turns = mpmath.mpf(frequency) / (2 * mpmath.pi) * 2**64
            difference = (high * 2**32 + low - turns) % 2**64
            assert min(difference, 2**64 - difference) <= 0.5 + 1e-9


def test_words_of_known_fractions():
    # A quarter turn per position, up to the rounding of pi / 2 to float64.
    words = phase.phase_words(np.array([np.pi / 2, 0.0]))
    fractions = words[0].astype(np.float64) / 2**32
    np.testing.assert_allclose(fractions, [0.25, 0.0], rtol=0, atol=2.0**-31)


def test_polynomials_keep_their_bound_on_a_quarter_turn():
    """Sine and cosine within 6e-8 of the truth: half a unit of 1 and change."""
    # One frequency of one 2**-16 turn visits every angle in steps of 1e-4.
    words = np.array([[2**16], [0]], np.uint32).reshape(2, 1, 1)
    positions = np.arange(2**16, dtype=np.int32)[:, None]
    cos, sin = phase.exact_cos_sin(positions, words)
    angle = 2 * np.pi * positions / 2**16
    assert np.abs(np.asarray(cos, np.float64) - np.cos(angle)).max() < 1.0e-7
    assert np.abs(np.asarray(sin, np.float64) - np.sin(angle)).max() < 1.0e-7


def test_quarter_turns_are_exact():
    words = np.array([[2**30], [0]], np.uint32).reshape(2, 1, 1)
    positions = np.arange(-5, 6, dtype=np.int32)[:, None]
    cos, sin = phase.exact_cos_sin(positions, words)
    np.testing.assert_array_equal(cos[:, 0], [0, 1, 0, -1, 0, 1, 0, -1, 0, 1, 0])
    np.testing.assert_array_equal(sin[:, 0], [-1, 0, 1, 0, -1, 0, 1, 0, -1, 0, 1])


@given(position=st.integers(1, 4096), head_dim=st.sampled_from((64, 128)))
def test_small_sines_keep_their_relative_accuracy(position, head_dim):
    """The low word is kept: without it small sines lose thousands of units."""
    frequencies = np.array([float(f) for f in oracles.inv_freq(head_dim, 1e6)])
    words = phase.phase_words(frequencies).reshape(2, 1, -1)
    _, sin = phase.exact_cos_sin(np.full((1, 1), position, np.int32), words)
    angle = position * frequencies
    small = angle < 0.5
    # Conversion, two sums and two products on the way: at most six roundings.
    np.testing.assert_allclose(
        np.asarray(sin[0], np.float64)[small],
        np.sin(angle[small]),
        rtol=6 * 2.0**-24,
        atol=0,
    )
