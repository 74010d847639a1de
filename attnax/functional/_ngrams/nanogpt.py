"""The n-gram hashes of modded-nanogpt."""

from typing import SupportsIndex

from ..._checks import INT32_MAX, check_flags, integer
from ..._public import public
from .record import NgramHashing

_BIGRAM, _TRIGRAM = (36313, 27191), (17351, 60961, 45259)


@public
def nanogpt_hashing(
    num_rows: SupportsIndex,
    *,
    vocab_size: SupportsIndex = 50_304,
    trigrams: bool = False,
) -> NgramHashing:
    """Returns the n-gram hashes of modded-nanogpt: of 2-grams, or of 3-grams too.

    The integers have 32 bits. The last row of a head is for tokens whose n-gram would
    reach beyond the start of the document.

    modded-nanogpt multiplies the rows by signs from a table with one sign per channel.
    The row ids of that table are hashes as well: see the page on n-grams.

    Args:
        num_rows: Number of rows of the table. At least 2; at least 4 and even with
            `trigrams`, which have the second half of the rows.
        vocab_size: Number of token ids.
        trigrams: Whether there is a head of 3-grams too.

    Returns:
        The record. In the code of modded-nanogpt, the n-gram of the second token of a
        batch has the number of the last row in place of the first token. It has the
        token here.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> ngram_row_ids(jnp.array([5, 7]), nanogpt_hashing(1000))[:, 0]
        Array([999, 124], dtype=int32)

    Reference:
        The code of modded-nanogpt: pull request 201 for 2-grams, 299 for signs, and
        360, which is not merged, for 3-grams.
        https://github.com/KellerJordan/modded-nanogpt
    """
    check_flags(trigrams=trigrams)
    heads = 2 if trigrams else 1
    num_rows = integer("num_rows", num_rows, 2 * heads, INT32_MAX)
    if num_rows % heads:
        raise ValueError(f"{num_rows=} must be even for {trigrams=}.")
    last = num_rows // heads - 1
    return NgramHashing(
        (2, 3)[:heads],
        (_BIGRAM, _TRIGRAM)[:heads],
        [last] * heads,
        vocab_size=vocab_size,
        short_rows=[last] * heads,
        word_bits=32,
    )
