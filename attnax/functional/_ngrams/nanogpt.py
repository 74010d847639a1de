"""The n-gram hashes of modded-nanogpt."""

from typing import SupportsIndex

from ..._checks import INT32_MAX, integer
from ..._public import public
from .record import NgramHashing


@public
def nanogpt_hashing(
    num_rows: SupportsIndex,
    *,
    vocab_size: SupportsIndex = 50_304,
) -> NgramHashing:
    """Returns the hash of the 2-grams of modded-nanogpt, as a record of one head.

    The integers have 32 bits. The last row is for the first token of a document.

    modded-nanogpt multiplies the rows by signs from a table with one sign per channel.
    The row ids of that table are hashes as well: see the page on n-grams.

    Args:
        num_rows: Number of rows of the table. At least 2.
        vocab_size: Number of token ids.

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
        The code of modded-nanogpt: pull request 201, and 299 for signs.
        https://github.com/KellerJordan/modded-nanogpt
    """
    num_rows = integer("num_rows", num_rows, 2, INT32_MAX)
    return NgramHashing(
        [2],
        [(36313, 27191)],
        [num_rows - 1],
        vocab_size=vocab_size,
        short_rows=[num_rows - 1],
        word_bits=32,
    )
