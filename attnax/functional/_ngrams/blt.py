"""The n-gram hashes of BLT, the byte latent transformer."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Integer

from ..._checks import INT32_MAX, integer, integers
from ..._public import public
from .record import NgramHashing

# The base of each hash function.
_BASES = (
    *(1000000007, 5915587277, 1500450271, 3267000013, 5754853343, 4093082899),
    *(9576890767, 3628273133, 2860486313, 5463458053, 3367900313),
)


@public
def blt_hashing(
    *,
    num_rows: SupportsIndex = 500_002,
    ngram_sizes: Sequence[SupportsIndex] | Integer[np.ndarray, " num_sizes"] = (
        3,
        4,
        5,
        6,
        7,
        8,
    ),
    num_functions: SupportsIndex = 1,
    vocab_size: SupportsIndex = 260,
) -> NgramHashing:
    """Returns the hashes of the byte n-grams of BLT.

    The number of an n-gram is the polynomial of its bytes at a prime, the oldest byte
    with the power 0, modulo `2**64`. There is a head for each hash function and, within
    it, for each size of n-grams. BLT adds up the rows of all heads.

    Args:
        num_rows: Number of rows of each head (`encoder_hash_byte_group_vocab`).
        ngram_sizes: Numbers of bytes in the n-grams (`encoder_hash_byte_group_size`).
        num_functions: Number of hash functions, of which each has its prime
            (`encoder_hash_byte_group_nb_functions`). From 1 to 11.
        vocab_size: Number of ids of bytes and special tokens.

    Returns:
        The record. Bytes before the first one count as 0.

    Raises:
        ValueError: If a setting is out of its range, or if int32 does not count all
            rows.

    Example:
        >>> ngram_row_ids(jnp.array([97, 98]), blt_hashing(ngram_sizes=(3,)))[:, 0]
        Array([ 49055, 105721], dtype=int32)

    Reference:
        Pagnoni et al., Byte Latent Transformer, 2024, section 3.2.1; transformers 5.23,
        `rolling_polynomial_hash` of `blt`. https://arxiv.org/abs/2412.09871
    """
    num_rows = integer("num_rows", num_rows, 1, INT32_MAX)
    # transformers begins again with the first prime, which gives equal heads.
    functions = integer("num_functions", num_functions, 1, len(_BASES))
    ngram_sizes = integers("ngram_sizes", ngram_sizes)
    if len(set(ngram_sizes)) < len(ngram_sizes):
        raise ValueError(f"{ngram_sizes=} must differ.")
    sizes = ngram_sizes * functions
    bases = [
        base for base in _BASES[:functions] for _ in range(len(sizes) // functions)
    ]
    factors = [
        [pow(base, n - 1 - k, 2**64) for k in range(n)]
        for base, n in zip(bases, sizes, strict=True)
    ]
    return NgramHashing(
        sizes, factors, [num_rows] * len(sizes), vocab_size=vocab_size, combine="sum"
    )
