"""The hashes of CANINE, of single characters."""

from typing import SupportsIndex

from ..._checks import INT32_MAX, integer
from ..._public import public
from .record import NgramHashing

_PRIMES = (31, 43, 59, 61, 73, 97, 103, 113, 137, 149, 157, 173, 181, 193, 211, 223)


@public
def canine_hashing(
    *,
    num_rows: SupportsIndex = 16_384,
    num_heads: SupportsIndex = 8,
    vocab_size: SupportsIndex = 1_114_112,
) -> NgramHashing:
    """Returns the hashes of the characters of CANINE, as n-grams of one token.

    The row of a code point is `(code_point + 1) * prime % num_rows`, with a prime of
    each head. CANINE concatenates the rows of all heads.

    Args:
        num_rows: Number of rows of each head (`num_hash_buckets`).
        num_heads: Number of hash functions (`num_hash_functions`), from 1 to 16.
        vocab_size: Number of code points. The default is that of Unicode.

    Returns:
        The record.

    Raises:
        ValueError: If a setting is out of its range, or if int32 does not count all
            rows.

    Example:
        >>> ngram_row_ids(jnp.array([ord("a")]), canine_hashing(num_heads=2))
        Array([[ 3038, 20598]], dtype=int32)

    Reference:
        Clark et al., CANINE, 2021, section 3.1; transformers 5.23,
        `CanineEmbeddings._hash_bucket_tensors`. https://arxiv.org/abs/2103.06874
    """
    num_rows = integer("num_rows", num_rows, 1, INT32_MAX)
    num_heads = integer("num_heads", num_heads, 1, len(_PRIMES))
    return NgramHashing(
        [1] * num_heads,
        [[prime] for prime in _PRIMES[:num_heads]],
        [num_rows] * num_heads,
        vocab_size=vocab_size,
        combine="sum",
        id_offset=1,
    )
