"""Hashes of n-grams: products of ids, made one number, and its remainders."""

import functools
import operator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ..._sharding import explicit_axes, gathered, sharding_like
from . import limbs
from .windows import NO_ROW, NO_TOKEN


class Run(NamedTuple):
    """The heads that have n-grams of one size.

    Attributes:
        heads: Their places among all heads.
        multipliers: For each token, the factors of the heads, or one that they share.
        bits: Number of bits that their numbers have.
        signed: Whether the numbers are in two's complement.
    """

    heads: tuple[int, ...]
    multipliers: list[tuple[int, ...]]
    bits: int
    signed: bool


def runs_of(hashing):
    """The heads of a record as runs, one for each size of n-grams.

    Heads of several sizes in one run would take ten times as long: XLA's CPU backend
    makes no vectors of the sums of long n-grams then. Several runs for one size would
    only take longer to compile.
    """
    by_size = {}
    for head, size in enumerate(hashing.ngram_sizes):
        by_size.setdefault(size, []).append(head)
    for heads in by_size.values():
        factors = [hashing.multipliers[h] for h in heads]
        bits = max(_bits(hashing, of_head) for of_head in factors)
        signed = bits >= hashing.word_bits
        if len(set(factors)) == 1:
            factors = factors[:1]
        by_token = list(zip(*factors, strict=True))
        yield Run(tuple(heads), by_token, min(bits, hashing.word_bits), signed)


def in_order(runs, values):
    """What the heads of each run have, as one array in the order of the heads."""
    heads = [head for run in runs for head in run.heads]
    joined = values[0] if len(values) == 1 else jnp.concatenate(values, axis=-1)
    if heads == sorted(heads):
        return joined
    axes = explicit_axes(joined)
    return gathered(
        joined,
        (..., np.argsort(heads)),
        out_sharding=None if axes is None else sharding_like(joined, axes),
        mode="promise_in_bounds",
    )


def _bits(hashing, multipliers):
    """Number of bits of the largest number of a head, or of words where one wraps."""
    largest = hashing.vocab_size - 1 + hashing.id_offset
    terms = [largest * m for m in multipliers]
    if min(terms) < 0:
        return hashing.word_bits
    total = sum(terms) if hashing.combine == "sum" else max(terms)
    return max(total.bit_length(), 1)


def row_ids(hashing, run, tokens, ids):
    """Rows of the heads of a run in the table, -1 where an id has no row.

    `ids` are the `tokens` with a fill in place of no token.
    """
    number = _numbers(hashing, run, ids)
    moduli = [hashing.moduli[h] for h in run.heads]
    rows = limbs.remainder(number, moduli, bits=run.bits, signed=run.signed)
    if hashing.short_rows is not None:
        short = [hashing.short_rows[h] for h in run.heads]
        short = limbs.per_head(short, np.int32, rows.ndim)
        rows = jnp.where(_any_is(NO_TOKEN, run, tokens), short, rows)
    offsets = [hashing.offsets[h] for h in run.heads]
    rows = rows + limbs.per_head(offsets, np.int32, rows.ndim)
    # No row of a short n-gram depends on the fill if it has one of its own.
    read = ids if hashing.short_rows is None else tokens
    return jnp.where(_any_is(NO_ROW, run, read), -1, rows)


def signs(hashing, run, ids):
    """A sign of each head of a run, from bits that the rows do not show."""
    low, high = _numbers(hashing, run, ids)
    mixed = low if high is None else low ^ _mixed(high)
    salt = [(h + 1) * 0x9E3779B1 % 2**32 for h in run.heads]
    bits = _mixed(mixed ^ limbs.per_head(salt, np.uint32, mixed.ndim)) >> 31
    return 1 - 2 * bits.astype(jnp.int8)


def filled(tokens, fill):
    """The tokens of each n-gram with the `fill` in place of no token."""
    return [jnp.where(token == NO_TOKEN, fill, token) for token in tokens]


def _numbers(hashing, run, ids):
    """The numbers of the heads of a run before the remainder, `(*ids, heads or 1)`."""
    largest = hashing.vocab_size - 1 + hashing.id_offset
    options = {"wide": run.bits > 32, "small": largest < 2**16}
    combine = limbs.add if hashing.combine == "sum" else limbs.xor
    products = [
        limbs.product(_unsigned(of_place, hashing), factors, **options)
        for of_place, factors in zip(ids, run.multipliers, strict=False)
    ]
    return functools.reduce(combine, products)


def _unsigned(ids, hashing):
    """What is multiplied: any number where a token has no row."""
    return (jnp.maximum(ids, 0) + hashing.id_offset).astype(jnp.uint32)[..., None]


def _any_is(value, run, tokens):
    """Whether a token of each n-gram is `value`, `(*ids, 1)`."""
    of_ngram = tokens[: len(run.multipliers)]
    return functools.reduce(operator.or_, (t == value for t in of_ngram))[..., None]


def _mixed(word):
    """Spreads each bit of uint32 words over all, as MurmurHash3 does at its end."""
    word = (word ^ word >> 16) * np.uint32(0x85EBCA6B)
    word = (word ^ word >> 13) * np.uint32(0xC2B2AE35)
    return word ^ word >> 16
