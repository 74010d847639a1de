"""Checks of the settings of n-gram hashes."""

from collections.abc import Mapping, Set

from ..._checks import INT32_MAX, integer, integers
from .primes import is_prime

MOST_TOKENS = 64


def checked_heads(ngram_sizes, multipliers, moduli, distinct_primes):
    """Sizes, factors and moduli of the heads as ints, checked against each other."""
    sizes = integers("ngram_sizes", ngram_sizes)
    if not sizes or not all(1 <= n <= MOST_TOKENS for n in sizes):
        raise ValueError(
            f"ngram_sizes={sizes} must be integers in [1, {MOST_TOKENS}], one or more."
        )
    factors = _checked_multipliers(multipliers, sizes)
    moduli = checked_moduli(moduli, len(sizes))
    heads = {}
    for h, head in enumerate(zip(sizes, factors, moduli, strict=True)):
        first = heads.setdefault(head, h)
        if first != h:
            raise ValueError(
                f"multipliers[{h}]={factors[h]} with moduli[{h}]={moduli[h]} must not "
                f"be those of head {first} too, which has the same rows."
            )
    if distinct_primes:
        _check_distinct_primes(moduli)
    return sizes, factors, moduli


def checked_moduli(moduli, num_heads, name="moduli"):
    """Numbers of rows, one per head, as ints."""
    moduli = integers(name, moduli)
    if len(moduli) != num_heads:
        raise ValueError(f"{name}={moduli} must be {num_heads} integers, one per head.")
    for h, modulus in enumerate(moduli):
        integer(f"{name}[{h}]", modulus, 1, INT32_MAX)
    return moduli


def _check_distinct_primes(moduli):
    """Raises unless the numbers of rows are primes, each of them different."""
    before = set()
    for h, modulus in enumerate(moduli):
        if not is_prime(modulus):
            raise ValueError(
                f"moduli[{h}]={modulus} must be prime; the next prime is "
                f"{_next_prime(modulus)}."
            )
        if modulus in before:
            raise ValueError(f"moduli[{h}]={modulus} must differ from those before it.")
        before.add(modulus)


def checked_short_rows(short_rows, moduli):
    """The rows of short n-grams as ints; `None` for `None`."""
    if short_rows is None:
        return None
    rows = integers("short_rows", short_rows)
    if len(rows) != len(moduli):
        raise ValueError(f"short_rows={rows} must be {len(moduli)} integers.")
    for h, (row, modulus) in enumerate(zip(rows, moduli, strict=True)):
        integer(f"short_rows[{h}]", row, 0, modulus)
    return rows


def checked_word_bits(word_bits) -> int:
    """The size of the integers, 64 or 32 bits."""
    bits = integer("word_bits", word_bits)
    if bits not in (64, 32):
        raise ValueError(f"word_bits={bits} must be 64 or 32.")
    return bits


def _checked_multipliers(multipliers, sizes):
    try:
        if isinstance(multipliers, Set | Mapping | str | bytes):
            raise TypeError
        several = tuple(multipliers)
    except TypeError:
        several = None
    if several is None or len(several) != len(sizes):
        raise ValueError(
            f"{multipliers=} must be {len(sizes)} sequences of integers, one per head "
            f"of ngram_sizes={sizes}."
        )
    return tuple(
        _checked_factors(factors, n, f"multipliers[{h}]")
        for h, (factors, n) in enumerate(zip(several, sizes, strict=True))
    )


def _checked_factors(factors, size, name):
    factors = integers(name, factors)
    if len(factors) != size:
        raise ValueError(
            f"{name}={factors} must be {size} integers, one per token of the n-gram."
        )
    for k, factor in enumerate(factors):
        integer(f"{name}[{k}]", factor, -(2**63), 2**64 - 1)
    return factors


def _next_prime(number):
    while not is_prime(number):
        number += 1
    return number
