"""Rows and signs of the n-grams of tokens."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int8, Int32, Integer

from ..._public import public
from . import hashes
from .hashes import filled, in_order, runs_of
from .record import NgramHashing, check_hashing
from .token_map import checked_map, mapped
from .windows import (
    checked_context,
    checked_starts,
    checked_tokens,
    history_of,
    masks_inside,
    placed_as,
    windows,
)


@public
def ngram_row_ids(
    token_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
    hashing: NgramHashing,
    *,
    segment_ids: Integer[Array | np.ndarray, "*#batch seq_len"]
    | Sequence
    | None = None,
    context: Integer[Array | np.ndarray, "*#batch context_len"]
    | Sequence
    | None = None,
    token_map: Integer[Array | np.ndarray, " num_ids"] | Sequence | None = None,
) -> Int32[Array, "*batch seq_len {hashing.num_heads}"]:
    """Returns the rows that each token reads from a table of hashed n-grams.

    The integers are those of 64-bit arithmetic, bit for bit, with and without JAX's
    64-bit mode. `NgramHashing` has the formula.

    An n-gram never reaches beyond the start of its document: `segment_ids` and the
    `eos_id` of the record mark where documents start. With `context`, a sequence
    continues where an earlier call ended, so the rows of a prefix and of the tokens
    after it, or of one token after another, are those of the whole sequence. The rows
    of packed documents are those of each by itself.

    Args:
        token_ids: Ids in `[0, vocab_size)`, or those that `token_map` has entries for.
        hashing: The hash of each head.
        segment_ids: One id per token, equal within a document. An id that comes back
            after another one starts a new document. `None` stands for one document.
        context: The last tokens of the document of the first token, oldest first, as
            `ngram_context` returns them: ids, -1 where there is no token, or -2 for a
            token without a row. `None` stands for no tokens.
        token_map: Id to hash in place of each id, in `[0, vocab_size)`: the compressed
            tokenizer of Engram. It holds for `fill_id` too. `eos_id`, like `token_ids`
            and `context`, is an id before the map. Outside `jit`, each call checks all
            of its entries on the host: decode under `jit`.

    Returns:
        Rows in the table of all heads: the offset of a head is added. Each is -1 if a
        traced id of the n-gram is out of range, so that lookups give NaN. On a mesh
        with explicit axes, they are sharded as `token_ids` are, along sequences too,
        of which each device gathers the ids.

    Raises:
        ValueError: If an id is known to be out of range, an array is not of integers or
            does not fit the tokens, `hashing` is not an `NgramHashing`, or its
            `fill_id` or `eos_id` is not among the ids.

    Example:
        >>> hashing = NgramHashing([2], [[3, 5]], [97], vocab_size=50)
        >>> ngram_row_ids(jnp.array([7, 8, 9]), hashing)[:, 0]
        Array([21, 59, 51], dtype=int32)

    Reference:
        Cheng et al., Conditional Memory via Scalable Lookup, 2026, section 2.2.
        https://arxiv.org/abs/2601.07372
    """
    ngrams = _checked(token_ids, hashing, segment_ids, context, token_map)
    return _row_ids(hashing, *ngrams)


@public
def ngram_signs(
    token_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
    hashing: NgramHashing,
    *,
    segment_ids: Integer[Array | np.ndarray, "*#batch seq_len"]
    | Sequence
    | None = None,
    context: Integer[Array | np.ndarray, "*#batch context_len"]
    | Sequence
    | None = None,
    token_map: Integer[Array | np.ndarray, " num_ids"] | Sequence | None = None,
) -> Int8[Array, "*batch seq_len {hashing.num_heads}"]:
    """Returns a sign, 1 or -1, to multiply each row of `ngram_row_ids` with.

    About half of the n-grams that share a row then read it with the other sign, so
    that, on average over the n-grams, what one of them learns does not add to the
    others. The sign comes from further bits of the hash that also gives the row.

    Args:
        token_ids: See `ngram_row_ids`.
        hashing: See `ngram_row_ids`.
        segment_ids: See `ngram_row_ids`.
        context: See `ngram_row_ids`.
        token_map: See `ngram_row_ids`.

    Returns:
        A sign per token and head. It is 1 or -1 for every n-gram, whether it has a row
        or not.

    Raises:
        ValueError: As `ngram_row_ids`.

    Example:
        >>> hashing = NgramHashing([2], [[3, 5]], [97], vocab_size=50)
        >>> ngram_signs(jnp.array([7, 8, 9]), hashing)[:, 0]
        Array([-1, -1,  1], dtype=int8)

    Reference:
        Chen et al., Compressing Neural Networks with the Hashing Trick, 2015,
        section 4.3. https://arxiv.org/abs/1504.04788
    """
    ngrams = _checked(token_ids, hashing, segment_ids, context, token_map)
    return _signs(hashing, *ngrams)


def _checked(token_ids, hashing, segment_ids, context, token_map):
    """Checked tokens, those before them, where documents start, and the map of ids."""
    check_hashing(hashing)
    token_map = checked_map(token_map, hashing)
    num_ids = hashing.vocab_size if token_map is None else token_map.shape[0]
    for name in ("fill_id", "eos_id"):
        special = getattr(hashing, name)
        if special is not None and special >= num_ids:
            raise ValueError(
                f"hashing.{name}={special} must be below {num_ids}, the number of ids; "
                "pass the token_map of ids before the map."
            )
    tokens = checked_tokens(token_ids, num_ids)
    before = checked_context(context, tokens, hashing.context_len, num_ids)
    return tokens, before, checked_starts(segment_ids, tokens), token_map


# Compiled as one program even where the caller is not. Outside `jit`, the steps would
# be hundreds of dispatches, and as many compilations at the first call.
@jax.jit
def _row_ids(hashing, token_ids, before, starts, token_map):
    tokens, ids = _ngrams(hashing, token_ids, before, starts, token_map)
    runs = list(runs_of(hashing))
    return in_order(runs, [hashes.row_ids(hashing, run, tokens, ids) for run in runs])


@jax.jit
def _signs(hashing, token_ids, before, starts, token_map):
    _, ids = _ngrams(hashing, token_ids, before, starts, token_map)
    runs = list(runs_of(hashing))
    return in_order(runs, [hashes.signs(hashing, run, ids) for run in runs])


def _ngrams(hashing, token_ids, before, starts, token_map):
    """The tokens of each n-gram, and the ids to multiply, newest first."""
    history, starts = history_of(token_ids, before, starts)
    masks = masks_inside(history, starts, hashing.context_len + 1, hashing.eos_id)
    # The hashes are computed where their tokens are, whole sequences of ids or not.
    tokens = placed_as(token_ids, windows(mapped(history, token_map), masks))
    fill = hashing.fill_id
    fill = jnp.int32(fill) if token_map is None else token_map[fill]
    return tokens, filled(tokens, fill)
