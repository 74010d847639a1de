"""The n-gram hashes of Over-Encoding: numbers whose digits are token ids."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Integer

from ..._checks import INT32_MAX, integer, integers
from ..._public import public
from .record import NgramHashing
from .record_checks import checked_moduli


@public
def over_encoding_hashing(
    row_counts: Sequence[SupportsIndex] | Integer[np.ndarray, " num_heads"],
    *,
    vocab_size: SupportsIndex,
    ngram_size: SupportsIndex = 3,
    fill_id: SupportsIndex = 0,
    eos_id: SupportsIndex | None = None,
) -> NgramHashing:
    """Returns the n-gram hashes of Over-Encoding, of which LongCat has some too.

    The number of an n-gram is `x[t] + x[t-1] * V + x[t-2] * V**2 + ...`, with the
    vocabulary size `V`: an n-gram has a number of its own, however large it is. Its row
    is the remainder by the number of rows. There are heads for 2-grams, 3-grams and so
    on up to `ngram_size`, in this order and as many for each.

    Args:
        row_counts: Number of rows of each head: as many for each size of n-grams.
            Head `i` of LongCat has `int(ratio * vocab_size + 2 * i + 1)`.
        vocab_size: Number of token ids, the base of the number.
        ngram_size: Number of tokens in the longest n-grams, from 2 to 64.
        fill_id: Id that stands for each token before the start of a document.
        eos_id: Id of the token that ends a document, as in LongCat. `None` stands for
            no such token. Where several ids end documents, as in LongCat's server
            (`oe_ignore_tokens`), pass `segment_ids` to `ngram_row_ids` instead.

    Returns:
        The record.

    Raises:
        ValueError: If a setting is out of its range, if int32 does not count all rows,
            or if a number of rows divides a power of `vocab_size`, so that older tokens
            would not count.

    Example:
        >>> over_encoding_hashing([1001, 1003, 1005, 1007], vocab_size=90)
        NgramHashing(4 heads of 2- and 3-grams, 4016 rows, vocab_size=90, combine='sum')

    Reference:
        Huang et al., Over-Tokenized Transformer, 2025, section 3.2.
        https://arxiv.org/abs/2501.16975
    """
    row_counts = integers("row_counts", row_counts)
    vocab_size = integer("vocab_size", vocab_size, 1, INT32_MAX)
    ngram_size = integer("ngram_size", ngram_size, 2, 64)
    if not row_counts or len(row_counts) % (ngram_size - 1):
        raise ValueError(
            f"{row_counts=} must be as many integers for each size of n-grams, from 2 "
            f"to {ngram_size=}."
        )
    checked_moduli(row_counts, len(row_counts), "row_counts")
    heads = len(row_counts) // (ngram_size - 1)
    sizes = [n for n in range(2, ngram_size + 1) for _ in range(heads)]
    for first in range(0, len(sizes), heads):
        of_size = row_counts[first : first + heads]
        if len(set(of_size)) < heads:
            raise ValueError(
                f"{row_counts=} must differ for n-grams of one size, but those of the "
                f"{sizes[first]}-grams are {of_size}."
            )
    factors = [
        [pow(vocab_size, k, rows) for k in range(n)]
        for n, rows in zip(sizes, row_counts, strict=True)
    ]
    for h, of_head in enumerate(factors):
        if 0 in of_head:
            raise ValueError(
                f"row_counts[{h}]={row_counts[h]} must not divide {vocab_size=}**"
                f"{of_head.index(0)}, or tokens so far back would not count."
            )
    return NgramHashing(
        sizes,
        factors,
        row_counts,
        vocab_size=vocab_size,
        combine="sum",
        fill_id=fill_id,
        eos_id=eos_id,
    )
