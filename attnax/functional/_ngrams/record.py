"""The record of n-gram hashes: everything that a model fixes about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import SupportsIndex

import jax
from jaxtyping import Integer
from numpy import ndarray

from ..._checks import INT32_MAX, check_flags, choice, integer, type_of
from ..._public import public
from .record_checks import checked_heads, checked_short_rows, checked_word_bits


@jax.tree_util.register_static
@dataclass(frozen=True, init=False, repr=False)
class NgramHashing:
    """Hashes of n-grams to the rows of one table, as data: one hash per head.

    The n-gram of a token is the token and the `n - 1` tokens before it. Head `h` gives
    the token `x[t]` the row

    `offsets[h] + (x[t] * multipliers[h][0] ^ x[t-1] * multipliers[h][1] ^ ...) %
    moduli[h]`

    in integers of 64 bits that wrap around, with the remainder of floored division.
    `combine="sum"` adds the products instead. `ngram_row_ids` and `ngram_signs` take
    the record. `engram_hashings`, `qwen4_exp_hashings`, `blt_hashing`,
    `canine_hashing`, `over_encoding_hashing` and `nanogpt_hashing` make those of
    published models.

    An `NgramHashing` is hashable and a static node of pytrees: it has no leaves, so
    `jit`, gradients, optimizers, casts and checkpoints leave it alone.

    Args:
        ngram_sizes: Number of tokens in the n-gram of each head, from 1 to 64.
        multipliers: Factors of each head: that of the token itself comes first, and
            that of the oldest token last. Integers of 64 bits, signed or not.
        moduli: Number of rows that each head hashes to. Positive.
        vocab_size: Number of ids. An id outside `[0, vocab_size)` has no row.
        combine: How the products become one number: `"xor"` or `"sum"`.
        fill_id: Id that stands for each token before the start of a document.
        eos_id: Id of the token that ends a document, so that the n-grams of later
            tokens do not reach it. `None` stands for no such token.
        short_rows: Row of each head for a token whose n-gram would reach beyond the
            start of its document, counted from the first row of the head. The modulus
            stands for one more row. With `None`, such n-grams are hashed with
            `fill_id`.
        id_offset: Number that is added to each id before the product. Not negative.
        word_bits: Size of the integers in bits, 64 or 32.
        distinct_primes: Whether to refuse moduli that are not different primes. Heads
            with equal multipliers need them, or what collides in one head collides in
            others too.

    Raises:
        ValueError: If a setting is out of its range or contradicts another, or if int32
            does not count the rows of all heads.

    Example:
        >>> NgramHashing([2, 2], [[3, 5], [7, 11]], [97, 101], vocab_size=50)
        NgramHashing(2 heads of 2-grams, 198 rows, vocab_size=50)

    Reference:
        Cheng et al., Conditional Memory via Scalable Lookup, 2026, section 2.2.
        https://arxiv.org/abs/2601.07372
    """

    ngram_sizes: tuple[int, ...]
    multipliers: tuple[tuple[int, ...], ...]
    moduli: tuple[int, ...]
    vocab_size: int
    combine: str
    fill_id: int
    eos_id: int | None
    short_rows: tuple[int, ...] | None
    id_offset: int
    word_bits: int

    @public
    def __init__(
        self,
        ngram_sizes: Sequence[SupportsIndex] | Integer[ndarray, " num_heads"],
        multipliers: Sequence[Sequence[SupportsIndex]]
        | Integer[ndarray, "num_heads ngram_size"],
        moduli: Sequence[SupportsIndex] | Integer[ndarray, " num_heads"],
        *,
        vocab_size: SupportsIndex,
        combine: str = "xor",
        fill_id: SupportsIndex = 0,
        eos_id: SupportsIndex | None = None,
        short_rows: Sequence[SupportsIndex]
        | Integer[ndarray, " num_heads"]
        | None = None,
        id_offset: SupportsIndex = 0,
        word_bits: SupportsIndex = 64,
        distinct_primes: bool = False,
    ):
        check_flags(distinct_primes=distinct_primes)
        sizes, multipliers, moduli = checked_heads(
            ngram_sizes, multipliers, moduli, distinct_primes
        )
        vocab_size = integer("vocab_size", vocab_size, 1, INT32_MAX)
        if eos_id is not None:
            eos_id = integer("eos_id", eos_id, 0, INT32_MAX - 1)
        fields = {
            "ngram_sizes": sizes,
            "multipliers": multipliers,
            "moduli": moduli,
            "vocab_size": vocab_size,
            "combine": choice("combine", combine, ("xor", "sum")),
            "fill_id": integer("fill_id", fill_id, 0, INT32_MAX - 1),
            "eos_id": eos_id,
            "short_rows": checked_short_rows(short_rows, moduli),
            "id_offset": integer("id_offset", id_offset, 0, INT32_MAX - vocab_size),
            "word_bits": checked_word_bits(word_bits),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if self.num_rows > INT32_MAX:
            raise ValueError(
                f"the {self.num_rows} rows of all {self.num_heads} heads must be at "
                f"most {INT32_MAX}, which int32 counts; use fewer rows, or an "
                "NgramHashing and a table for each head."
            )

    @property
    def num_heads(self) -> int:
        """Number of heads: of the rows that each token reads."""
        return len(self.ngram_sizes)

    @property
    def context_len(self) -> int:
        """Number of tokens in front of a token that its row ids depend on."""
        return max(self.ngram_sizes) - 1

    @property
    def row_counts(self) -> tuple[int, ...]:
        """Number of rows of each head."""
        if self.short_rows is None:
            return self.moduli
        pairs = zip(self.moduli, self.short_rows, strict=True)
        return tuple(max(modulus, row + 1) for modulus, row in pairs)

    @property
    def offsets(self) -> tuple[int, ...]:
        """First row of each head in the table."""
        return tuple(accumulate(self.row_counts[:-1], initial=0))

    @property
    def num_rows(self) -> int:
        """Number of rows of all heads."""
        return sum(self.row_counts)

    @public
    def padded_rows(self, multiple: SupportsIndex) -> int:
        """Number of rows of a table that `multiple` divides, such as that of shards.

        The rows after `num_rows` are padding, which no row id names.
        """
        multiple = integer("multiple", multiple, 1, INT32_MAX)
        padded = -(-self.num_rows // multiple) * multiple
        if padded > INT32_MAX:
            raise ValueError(
                f"{multiple=} must not pad the {self.num_rows} rows beyond {INT32_MAX},"
                " which int32 counts."
            )
        return padded

    def __repr__(self):
        sizes = sorted(set(self.ngram_sizes))
        ngrams = ", ".join(f"{n}-" for n in sizes[:-1])
        ngrams = f"{ngrams} and {sizes[-1]}" if ngrams else f"{sizes[-1]}"
        heads = "1 head" if self.num_heads == 1 else f"{self.num_heads} heads"
        parts = [f"{heads} of {ngrams}-grams", f"{self.num_rows} rows"]
        parts.append(f"vocab_size={self.vocab_size}")
        defaults = {"combine": "xor", "fill_id": 0, "eos_id": None}
        defaults |= {"short_rows": None, "id_offset": 0, "word_bits": 64}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return f"NgramHashing({', '.join(parts)})"

    def __pdoc__(self, **options):
        """The `repr` on one line, for Equinox, which prints modules."""
        from wadler_lindig import TextDoc  # the library that asks for it

        return TextDoc(repr(self))


def check_hashing(hashing) -> None:
    """A `ValueError` unless `hashing` is a record."""
    if not isinstance(hashing, NgramHashing):
        raise ValueError(f"hashing is {type_of(hashing)}, but must be an NgramHashing.")
