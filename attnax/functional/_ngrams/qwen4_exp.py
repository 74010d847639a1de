"""The n-gram hashes of Qwen4-exp."""

from typing import SupportsIndex

from ..._checks import INT32_MAX, integer
from ..._public import public
from .primes import check_primes, next_primes
from .record import NgramHashing

_WORD = 2**64 - 1
_GOLDEN = 0x9E3779B97F4A7C15
_SEEDS_PER_LAYER = 10007


@public
def qwen4_exp_hashings(
    num_layers: SupportsIndex,
    *,
    vocab_size: SupportsIndex,
    eos_id: SupportsIndex,
    min_rows: SupportsIndex = 20_000_000,
    ngram_size: SupportsIndex = 3,
    heads_per_ngram: SupportsIndex = 8,
    seed: SupportsIndex = 1234,
) -> tuple[NgramHashing, ...]:
    """Returns the n-gram hashes of the layers of Qwen4-exp, one record per layer.

    Each layer has heads for 2-grams, 3-grams and so on up to `ngram_size`, in this
    order. The moduli of all layers are consecutive primes, and n-grams restart after
    each `eos_id`, which also fills them.

    Args:
        num_layers: Number of layers that have n-grams (`ple_layer_ids`), counted
            whichever layers they are. Positive.
        vocab_size: Number of token ids.
        eos_id: Id of the token that ends a document, in `[0, vocab_size)`.
        min_rows: Least number of rows of a head (`ngram_vocab_size_base`). Positive.
        ngram_size: Number of tokens in the longest n-grams, from 2 to 64.
        heads_per_ngram: Number of heads for each size of n-grams. Positive.
        seed: Number from which the multipliers are made. Not negative.

    Returns:
        A record per layer. The tables of the released models have `padded_rows(128)`
        rows (`make_ngram_vocab_size_divisible_by`).

    Raises:
        ValueError: If a setting is out of its range, or if int32 does not count the
            rows of a layer.

    Example:
        >>> qwen4_exp_hashings(2, vocab_size=100, eos_id=7, min_rows=500)[1].moduli[:4]
        (613, 617, 619, 631)

    Reference:
        transformers 5.23, `Qwen4ExpTextNGramEmbedding`.
    """
    num_layers = integer("num_layers", num_layers, 1, 1024)
    ngram_size = integer("ngram_size", ngram_size, 2, 64)
    heads = integer("heads_per_ngram", heads_per_ngram, 1, 1024)
    vocab_size = integer("vocab_size", vocab_size, 1, INT32_MAX)
    eos_id = integer("eos_id", eos_id, 0, vocab_size - 1)
    low = integer("min_rows", min_rows, 1, INT32_MAX)
    seed = integer("seed", seed, 0)
    sizes = [n for n in range(2, ngram_size + 1) for _ in range(heads)]
    primes = next_primes(low, num_layers * len(sizes))
    check_primes(low, primes)
    records = []
    for layer in range(num_layers):
        factors = _multipliers(seed + _SEEDS_PER_LAYER * layer, ngram_size, vocab_size)
        records.append(
            NgramHashing(
                sizes,
                [factors[:n] for n in sizes],
                primes[layer * len(sizes) : (layer + 1) * len(sizes)],
                vocab_size=vocab_size,
                fill_id=eos_id,
                eos_id=eos_id,
                distinct_primes=True,
            )
        )
    return tuple(records)


def _multipliers(seed, count, vocab_size):
    """Odd numbers, so small that a product with an id stays below `2**63`."""
    bound = max(1, (2**63 - 1) // vocab_size // 2)
    return [
        2 * (_splitmix64(seed + _GOLDEN * k) % bound) + 1 for k in range(1, count + 1)
    ]


def _splitmix64(state):
    """The next number of the generator SplitMix64 (Steele et al., 2014)."""
    word = (state + _GOLDEN) & _WORD
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 & _WORD
    word = (word ^ word >> 27) * 0x94D049BB133111EB & _WORD
    return word ^ word >> 31
