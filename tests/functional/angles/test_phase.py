import math
from fractions import Fraction

import mpmath
import numpy as np
import oracles
import pytest
from helpers import optimized
from hypothesis import given
from hypothesis import strategies as st

from attnax.functional._angles import phase


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


# How far cosines and sines may be from those of the float64 frequency, step by step:
#
# 1. Words are rounded to half of 2**-64 turns, and multiplied exactly by the position:
#    2.3e-11 below 2**27, 3.7e-10 at any int32.
# 2. The remainder, up to 2**29 units of 2**-32 turns, is rounded to float32, to half a
#    unit in the last place, and the fraction of a unit is lost in it: 17 units, 2.5e-8.
# 3. The angle is a product with a constant that is 2.8e-8 of itself too large, 2.2e-8
#    at pi / 4, and is rounded, by 3.0e-8. The cosine's polynomial is that of an angle
#    that much smaller, so that the constant does cosines no harm.
# 4. The polynomials are off by 9.8e-9 (sine) and 1.3e-9 (cosine), shown below.
# 5. Their evaluation rounds the result, by 3.0e-8, and the terms before, by 5.2e-8 in
#    cosines (four times 2**-24 of 0.29 and less) and 1.9e-8 in sines (of 0.08).
#
# Were all at their worst at once, next to pi / 4, a cosine would be off by
# (2.5 + 3.0) * 0.71 + 0.1 + 3.0 + 5.2 = 12.2e-8 and a sine by 11.3e-8. They are not:
# steps 3 to 5 are functions of the float32 remainder, of which all that matter are
# visited below, and steps 1 and 2 at their worst are added to each.
TURN = 2 * np.pi / 2**32  # what a unit of the remainder is, in radians
OF_WORDS = 2**31 * 2.0**-65 * 2 * np.pi  # step 1 at its worst
CONSTANT = float(phase._RADIANS)
POLYNOMIAL_OF_SIN, POLYNOMIAL_OF_COS = 9.8e-9, 1.3e-9
# At every int32 position, of the frequency as it is in float64. A method may round it:
# by 2**-54 of a frequency near 1, say, which is 7e-9 at 2**27 and 1.2e-7 at 2**31.
WORST_OF_SIN, WORST_OF_COS = 1.025e-7, 1.035e-7


# How much too large the angle is that each polynomial expects.
STRETCH = {"sin": Fraction(1), "cos": Fraction(CONSTANT) / Fraction(TURN)}


def taylor(function, terms=8):
    """Coefficients by power, up to that from which the sum is cut off, and that one."""
    first = 1 if function == "sin" else 0
    powers = range(first, first + 2 * terms + 1, 2)
    *series, rest = [
        (k, Fraction((-1) ** (i % 2), math.factorial(k))) for i, k in enumerate(powers)
    ]
    return dict(series), rest


@pytest.mark.parametrize(
    ("function", "bound"), (("sin", POLYNOMIAL_OF_SIN), ("cos", POLYNOMIAL_OF_COS))
)
def test_polynomials_keep_their_bound_on_the_whole_interval(function, bound):
    """A proof in rational numbers: on a grid, and between by the slope.

    The difference from a Taylor series is a polynomial; what is cut off that series is
    at most its next term.
    """
    largest = Fraction(CONSTANT) * 2**29
    leading, coefficients = {"sin": (1, phase._SIN), "cos": (0, phase._COS)}[function]
    difference, (power, coefficient) = taylor(function)
    difference = {k: -c / STRETCH[function] ** k for k, c in difference.items()}
    difference[leading] += 1
    for i, c in enumerate(coefficients):
        difference[leading + 2 * (i + 1)] += Fraction(float(np.float32(c)))
    cut = abs(coefficient) * largest**power
    slope = sum(k * abs(c) * largest ** (k - 1) for k, c in difference.items() if k)
    steps = 8192
    at = lambda x: abs(sum(c * x**k for k, c in difference.items()))
    on_grid = max(at(largest * i / steps) for i in range(steps + 1))
    proven = float(on_grid + slope * largest / (2 * steps) + cut)
    assert float(on_grid) <= proven <= bound


def of_remainders(remainders):
    """Cosines and sines as they come out where the phase is `remainders`, exactly."""
    # A frequency of one unit: the position is the remainder.
    words = np.array([[1], [0]], np.uint32).reshape(2, 1, 1)
    made = phase.exact_cos_sin(remainders.astype(np.int32)[:, None], words)
    return [np.asarray(t, np.float64)[:, 0] for t in made]


@optimized
@pytest.mark.parametrize("binade", (27, 28))
def test_every_float32_remainder_keeps_the_bound(binade):
    """All from an angle of 0.2 on, with what rounds to them at its worst."""
    unit = 2 ** (binade - 23)
    for part in np.split(np.arange(2**binade, 2 ** (binade + 1), unit), 8):
        # Half a unit, and the fraction. Towards 0 that is where the remainder is
        # negative, for fractions are not; no remainder is as far as 2**29.
        near, far = part - (unit / 2 + 1), np.minimum(part + unit / 2 + 1, 2**29)
        bounds = WORST_OF_COS, WORST_OF_SIN
        functions = np.cos, np.sin
        for made, function, bound in zip(
            of_remainders(part), functions, bounds, strict=True
        ):
            # Monotonic in between, so that the ends are the worst.
            error = np.maximum(
                *(np.abs(made - function(t * TURN)) for t in (near, far))
            )
            assert error.max() + OF_WORDS <= bound


def test_small_remainders_keep_the_bound():
    """Below an angle of 0.2 the sum of all that is worst is two thirds of the bound."""
    largest, half_unit = 2**27 * TURN, 2.0**-24
    # The remainder, with its fraction, and the product: three roundings.
    angle = largest * (3.1 * half_unit + CONSTANT / TURN - 1)
    # Five roundings, at most, of terms, and one of the result, of which cosines are
    # below 1, with a smaller unit.
    terms = 5 * half_unit * np.array([largest**2 / 2, largest**3 / 6])
    result = half_unit * np.array([0.5, largest])
    polynomial = np.array([POLYNOMIAL_OF_COS, POLYNOMIAL_OF_SIN])
    slope = np.array([largest, 1.0])
    bound = slope * angle + terms + result + polynomial + OF_WORDS
    assert (bound < 6.5e-8).all()
    remainders = np.random.default_rng(0).integers(-(2**27), 2**27, 2**18)
    cos, sin = of_remainders(remainders)
    assert np.abs(cos - np.cos(remainders * TURN)).max() <= bound[0]
    assert np.abs(sin - np.sin(remainders * TURN)).max() <= bound[1]


def test_the_largest_remainder_keeps_the_bound():
    """Those that round to 2**29, an eighth of a turn, and -2**29 itself."""
    remainders = np.array([*range(2**29 - 17, 2**29), -(2**29)])
    cos, sin = of_remainders(remainders)
    more = TURN + OF_WORDS  # the fraction that may come with them
    assert np.abs(cos - np.cos(remainders * TURN)).max() + more <= WORST_OF_COS
    assert np.abs(sin - np.sin(remainders * TURN)).max() + more <= WORST_OF_SIN


def test_quadrants_and_signs_are_those_of_the_first():
    """Bit for bit, so that what holds of it holds of all."""
    remainders = np.random.default_rng(0).integers(0, 2**29, 4096)
    cos, sin = of_remainders(remainders)
    for sign in (1, -1):
        # After a quarter turn: cosine is minus the sine, and sine the cosine.
        expected = [cos, sign * sin]
        for quadrant in range(4):
            positions = sign * remainders + quadrant * 2**30
            positions = (positions + 2**31) % 2**32 - 2**31
            for a, e in zip(of_remainders(positions), expected, strict=True):
                np.testing.assert_array_equal(a, e)
            expected = [-expected[1], expected[0]]


@pytest.mark.device
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
