"""The n-gram hashes of Engram, DeepSeek's memory of n-grams."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Integer

from ..._checks import INT32_MAX, integer, integers, is_integer
from ..._public import public
from .primes import check_primes, next_primes
from .record import NgramHashing

# The seeds of two layers are this far apart for each layer between them.
_SEEDS_PER_LAYER = 10007


@public
def engram_hashings(
    layer_ids: Sequence[SupportsIndex] | Integer[np.ndarray, " num_layers"],
    *,
    min_rows: SupportsIndex
    | Sequence[SupportsIndex]
    | Integer[np.ndarray, " num_sizes"],
    vocab_size: SupportsIndex,
    ngram_size: SupportsIndex = 3,
    heads_per_ngram: SupportsIndex = 8,
    pad_id: SupportsIndex = 2,
    seed: SupportsIndex = 0,
) -> tuple[NgramHashing, ...]:
    """Returns the n-gram hashes of the layers of Engram, one record per layer.

    Each layer has heads for 2-grams, 3-grams and so on up to `ngram_size`, in this
    order. The moduli of all layers are different primes, so pass all layers of the
    model. The multipliers are odd numbers that NumPy draws for each layer.

    DeepSeek-V4.1-Flash has `layer_ids=[1, 14]`, `min_rows=16_000_000`, `ngram_size=4`
    and `vocab_size=99_092`.

    Args:
        layer_ids: Indices of the layers that have n-grams, in the order of the model.
            Not negative, and each of them once.
        min_rows: Least number of rows of a head, one number for all n-grams or one for
            each of their sizes (`engram_vocab_size`). Positive.
        vocab_size: Number of ids that are hashed. In the released models these are
            the ids of the compressed tokenizer: pass its map as `token_map` to
            `ngram_row_ids`.
        ngram_size: Number of tokens in the longest n-grams, from 2 to 64.
        heads_per_ngram: Number of heads for each size of n-grams. Positive.
        pad_id: Id that stands for each token before the first one. It is an id before
            the map.
        seed: Number from which the multipliers are drawn. Not negative.

    Returns:
        A record per layer, in the order of `layer_ids`.

    Raises:
        ValueError: If a setting is out of its range, or if int32 does not count the
            rows of a layer.

    Example:
        >>> engram_hashings([1, 15], min_rows=500, vocab_size=100, heads_per_ngram=2)[0]
        NgramHashing(4 heads of 2- and 3-grams, 2056 rows, vocab_size=100, fill_id=2)

    Reference:
        Cheng et al., Conditional Memory via Scalable Lookup, 2026, section 2.2, and its
        code (`NgramHashMapping`). https://arxiv.org/abs/2601.07372
    """
    layer_ids = integers("layer_ids", layer_ids)
    if not layer_ids:
        raise ValueError(f"{layer_ids=} must have at least one layer.")
    if any(layer < 0 for layer in layer_ids) or len(set(layer_ids)) < len(layer_ids):
        raise ValueError(f"{layer_ids=} must not be negative, and differ.")
    ngram_size = integer("ngram_size", ngram_size, 2, 64)
    heads = integer("heads_per_ngram", heads_per_ngram, 1, 1024)
    vocab_size = integer("vocab_size", vocab_size, 1, INT32_MAX)
    seed = integer("seed", seed, 0)
    pad_id = integer("pad_id", pad_id, 0, INT32_MAX - 1)
    sizes = range(2, ngram_size + 1)
    lows = _least_rows(min_rows, len(sizes))
    # All primes from a least number of rows up to where its search goes on are taken.
    search_from = {low: low for low in lows}
    taken, records = set(), []
    for layer in layer_ids:
        factors = _multipliers(seed + _SEEDS_PER_LAYER * layer, ngram_size, vocab_size)
        moduli = []
        for low in lows:
            primes = next_primes(search_from[low], heads, taken)
            check_primes(low, primes)
            search_from[low] = primes[-1] + 1
            taken.update(primes)
            moduli += primes
        records.append(
            NgramHashing(
                [n for n in sizes for _ in range(heads)],
                [factors[:n] for n in sizes for _ in range(heads)],
                moduli,
                vocab_size=vocab_size,
                fill_id=pad_id,
                distinct_primes=True,
            )
        )
    return tuple(records)


def _least_rows(min_rows, num_sizes):
    if is_integer(min_rows):
        return (integer("min_rows", min_rows, 1, INT32_MAX),) * num_sizes
    rows = integers("min_rows", min_rows)
    if len(rows) != num_sizes:
        raise ValueError(
            f"min_rows={rows} must be one integer, or {num_sizes}, one per size of "
            "n-grams."
        )
    return tuple(integer("min_rows", low, 1, INT32_MAX) for low in rows)


def _multipliers(seed, count, vocab_size):
    """Odd numbers, so small that a product with an id stays below `2**63`."""
    bound = max(1, (2**63 - 1) // vocab_size // 2)
    drawn = np.random.default_rng(seed).integers(0, bound, count, np.int64)
    return [2 * number + 1 for number in drawn.tolist()]
