"""What to keep of a sequence for the n-grams of the tokens after it."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Integer

from ..._checks import INT32_MAX
from ..._public import public
from .record import NgramHashing, check_hashing
from .windows import (
    NO_TOKEN,
    checked_context,
    checked_starts,
    checked_tokens,
    history_of,
)


@public
def ngram_context(
    token_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
    hashing: NgramHashing,
    *,
    segment_ids: Integer[Array | np.ndarray, "*#batch seq_len"]
    | Sequence
    | None = None,
    context: Integer[Array | np.ndarray, "*#batch context_len"]
    | Sequence
    | None = None,
) -> Int32[Array, "*batch {hashing.context_len}"]:
    """Returns the last tokens of a sequence, as the `context` of the next call.

    The last tokens are those at the end of the array, so pad shorter prompts on the
    left, with a segment id of their own for the padding.

    Args:
        token_ids: Token ids of a call of `ngram_row_ids`.
        hashing: The hashes of the call. Their longest n-gram has one token more than
            the context.
        segment_ids: Those of the call. The tokens of the last document are kept.
        context: That of the call.

    Returns:
        The last ids, oldest first, and -1 where there is no token. An id that int32
        does not hold, or below 0, is -2 if traced. A new document starts without a
        context, or with one of -1 alone.

    Raises:
        ValueError: If an id is known not to be an int32 of at least 0, an array is not
            of integers or does not fit the tokens, or `hashing` is not an
            `NgramHashing`.

    Example:
        >>> hashing = NgramHashing([3], [[3, 5, 7]], [97], vocab_size=50)
        >>> first = ngram_context(jnp.array([7]), hashing)
        >>> first, ngram_context(jnp.array([8]), hashing, context=first)
        (Array([-1,  7], dtype=int32), Array([7, 8], dtype=int32))

    Reference:
        transformers 5.23, `Qwen4ExpTextNGramEmbedding.forward`, which keeps the same
        tokens in its cache.
    """
    check_hashing(hashing)
    tokens = checked_tokens(token_ids, INT32_MAX + 1)
    before = checked_context(context, tokens, hashing.context_len, INT32_MAX + 1)
    return _last(tokens, before, checked_starts(segment_ids, tokens))


# Compiled as one program: outside `jit`, every step of decoding has this call.
@jax.jit
def _last(token_ids, before, starts):
    seq_len = token_ids.shape[-1]
    history, starts = history_of(token_ids, before, starts)
    kept = history[..., seq_len:]
    if starts is None:
        return kept
    # A start after a token cuts it off, and all before it.
    starts = starts[..., seq_len:].astype(jnp.int32)
    until_end = jnp.flip(jnp.cumsum(jnp.flip(starts, -1), -1, jnp.int32), -1)
    return jnp.where(until_end == starts, kept, NO_TOKEN)
