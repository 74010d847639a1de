"""64-bit integers in two limbs, against Python's integers."""

import hypothesis.strategies as st
import numpy as np
import pytest
from helpers import jitted
from hypothesis import given
from ngram_oracles import wrapped

from attnax._words import multiply_high
from attnax.functional._ngrams import limbs
from attnax.functional._ngrams.primes import is_prime, next_primes

# Around the limits of digits, of limbs and of the sign.
MODULI = (
    *(1, 2, 3, 255, 256, 257, 65_535, 65_536, 65_537, 500_002, 646_403),
    *(20_000_003, 2**24 - 1, 2**24 + 1, 2**30 - 1, 2**30, 2**31 - 2, 2**31 - 1),
)
words = st.one_of(
    st.integers(0, 2**64 - 1),
    st.sampled_from((0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)),
    # A multiple of a modulus, and its neighbors, where a quotient goes wrong first.
    st.builds(
        lambda m, q, d: (m * q + d) % 2**64,
        st.sampled_from(MODULI),
        st.integers(0, 2**63),
        st.integers(-1, 1),
    ),
)


def split(numbers):
    """Python's integers as two arrays of limbs, with an axis for the moduli."""
    numbers = [number % 2**64 for number in numbers]
    low = np.array([number % 2**32 for number in numbers], np.uint32)
    high = np.array([number >> 32 for number in numbers], np.uint32)
    return low[:, None], high[:, None]


@jitted
def remainders(low, high, moduli, bits, signed):
    number = low, high if bits > 32 else None
    return limbs.remainder(number, moduli, bits=bits, signed=signed)


@pytest.mark.device  # quotients depend on the float32 of the device
@pytest.mark.parametrize("bits", (16, 32, 49, 64))
@given(numbers=st.lists(words, min_size=64, max_size=64))
def test_remainder_of_unsigned_numbers(bits, numbers):
    numbers = [number % 2**bits for number in numbers]
    for moduli in MODULI, MODULI[7:]:  # the larger ones need a digit less
        actual = remainders(*split(numbers), moduli, bits, False)
        expected = [[number % m for m in moduli] for number in numbers]
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.device
@pytest.mark.parametrize("bits", (32, 64))
@given(numbers=st.lists(words, min_size=64, max_size=64))
def test_remainder_of_signed_numbers_is_that_of_floored_division(bits, numbers):
    numbers = [wrapped(number, bits) for number in numbers]
    actual = remainders(*split(numbers), MODULI, bits, True)
    expected = [[number % m for m in MODULI] for number in numbers]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.device
def test_remainders_around_every_multiple_of_small_numbers():
    numbers = np.arange(3 * 2**16)
    low = numbers.astype(np.uint32)[:, None]
    moduli = (*range(1, 12), *range(65_530, 65_541))
    actual = remainders(low, np.zeros_like(low), moduli, 32, False)
    np.testing.assert_array_equal(actual, numbers[:, None] % np.array(moduli))


@given(
    ids=st.lists(st.integers(0, 2**31 - 1), min_size=8, max_size=8),
    others=st.lists(words, min_size=8, max_size=8),
    factor=st.sampled_from((0, 1, -1, 10007, 2**31, 2**63 - 1, -(2**63), 2**64 - 1)),
)
def test_products_sums_and_xor_wrap(ids, others, factor):
    low, high = arithmetic(np.array(ids, np.uint32)[:, None], *split(others), factor)
    for place, combine in enumerate((int.__add__, int.__xor__)):
        expected = [
            combine(x * factor % 2**64, y) for x, y in zip(ids, others, strict=True)
        ]
        expected = split(expected)
        np.testing.assert_array_equal(low[place], expected[0])
        np.testing.assert_array_equal(high[place], expected[1])


@jitted
def arithmetic(ids, low, high, factor):
    number, other = limbs.product(ids, [factor], wide=True), (low, high)
    return tuple(zip(limbs.add(number, other), limbs.xor(number, other), strict=True))


def test_numbers_of_one_limb_are_the_low_limbs():
    ids = np.array([[5], [2**16 - 1]], np.uint32)
    wide = limbs.product(ids, [7, 2**33 + 3], wide=True)
    low, high = limbs.product(ids, [7, 2**33 + 3], wide=False)
    assert high is None
    small = limbs.product(ids, [7, 2**33 + 3], wide=True, small=True)
    np.testing.assert_array_equal(small, wide)
    np.testing.assert_array_equal(low, wide[0])
    for combine in limbs.add, limbs.xor:
        one, none = combine((low, None), (low, None))
        assert none is None
        np.testing.assert_array_equal(one, combine(wide, wide)[0])


@given(st.lists(st.tuples(words, words), min_size=8, max_size=8))
def test_high_words_of_products(pairs):
    a, b = (np.array([p[i] % 2**32 for p in pairs], np.uint32) for i in (0, 1))
    expected = [int(x) * int(y) >> 32 for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(multiply_high(a, b), np.array(expected, np.uint32))


def test_primes():
    sieve = np.ones(3000, bool)
    sieve[:2] = False
    for n in range(2, 55):
        sieve[2 * n :: n] = False
    assert [n for n in range(3000) if is_prime(n)] == np.flatnonzero(sieve).tolist()
    # Strong pseudoprimes to bases 2 and 3, and to the first nine; then primes.
    assert not is_prime(1_373_653)
    assert not is_prime(3_825_123_056_546_413_051)
    assert is_prime(2**31 - 1)
    assert is_prime(2**61 - 1)
    assert next_primes(90, 3, {101}) == (97, 103, 107)
    assert next_primes(0, 1) == (2,)
