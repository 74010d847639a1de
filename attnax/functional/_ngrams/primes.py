"""Prime numbers, on the host."""

from ..._checks import INT32_MAX

# Enough to tell every number below 2**64: Sorenson and Webster, 2015.
_BASES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)


def is_prime(number: int) -> bool:
    """Whether an integer below `2**64` is prime, by the test of Miller and Rabin."""
    if number < 2:
        return False
    for base in _BASES:
        if number % base == 0:
            return number == base
    odd = number - 1
    twos = (odd & -odd).bit_length() - 1
    odd >>= twos
    return all(_passes(number, base, odd, twos) for base in _BASES)


def _passes(number, base, odd, twos):
    power = pow(base, odd, number)
    if power in (1, number - 1):
        return True
    for _ in range(twos - 1):
        power = power * power % number
        if power == number - 1:
            return True
    return False


def next_primes(low: int, count: int, taken=()) -> tuple[int, ...]:
    """The first `count` primes of at least `low` that are not `taken`."""
    primes = []
    while len(primes) < count:
        if is_prime(low) and low not in taken:
            primes.append(low)
        low += 1
    return tuple(primes)


def check_primes(min_rows: int, primes) -> None:
    """Raises unless int32 holds primes that were searched for from `min_rows` on."""
    if primes[-1] > INT32_MAX:
        raise ValueError(
            f"{min_rows=} must leave a prime up to {INT32_MAX} for each head; the last "
            f"one would have {primes[-1]} rows."
        )
