"""The tokens of n-grams: each token, and those before it in its document."""

import jax
import jax.numpy as jnp
import numpy as np

from ..._checks import (
    broadcasts_to,
    check_axes,
    check_one_per_token,
    int32_in_range,
    integer_array,
)
from ..._sharding import explicit_axes, sharding_like, spread, whole_along

# What stands in a context besides ids: no token, and a token that has no row.
NO_TOKEN, NO_ROW = -1, -2


def checked_tokens(token_ids, num_ids):
    """Token ids as int32, with `NO_ROW` for traced ids outside `[0, num_ids)`."""
    ids, valid = int32_in_range("token_ids", token_ids, 0, num_ids)
    check_axes("token_ids", ids, "seq_len")
    return ids if valid is None else jnp.where(valid, ids, NO_ROW)


def checked_context(context, ids, length, num_ids):
    """The `length` tokens before the first one as int32; for `None`, no tokens."""
    if context is None:
        return jnp.full((length,), NO_TOKEN, jnp.int32)
    before, valid = int32_in_range("context", context, NO_ROW, num_ids)
    wanted = (*ids.shape[:-1], length)
    if before.shape[-1:] != (length,) or not broadcasts_to(before.shape, wanted):
        raise ValueError(
            f"context.shape={before.shape} must broadcast to {wanted}, the tokens "
            "before the first one, as ngram_context returns them."
        )
    return before if valid is None else jnp.where(valid, before, NO_ROW)


def checked_starts(segment_ids, ids):
    """Whether each token has another segment id than the one before it.

    `None` stands for no segment ids. The first token continues the document before it.
    """
    if segment_ids is None:
        return None
    segment_ids = integer_array("segment_ids", segment_ids)
    check_one_per_token("segment_ids", segment_ids.shape, ids.shape, "the token ids")
    if not isinstance(segment_ids, np.ndarray):
        segment_ids = whole_along(segment_ids, -1)
    # Compared before JAX takes the ids: a 64-bit id may wrap there.
    before, after = segment_ids[..., :-1], segment_ids[..., 1:]
    parts = segment_ids[..., :1] != segment_ids[..., :1], after != before
    return jnp.concatenate([jnp.asarray(part) for part in parts], axis=-1)


def history_of(ids, before, starts):
    """The tokens before the first one and then the tokens; and where documents start.

    The second is `None` where `starts` are. Sequences lie on one device each.
    """
    ids = whole_along(ids, -1)
    history = jnp.concatenate([_beside(before, ids), ids], axis=-1)
    if starts is None:
        return history, None
    none = _beside(jnp.zeros(before.shape[-1:], bool), ids)
    return history, jnp.concatenate([none, _beside(starts, ids)], axis=-1)


def masks_inside(history, starts, size, eos_id):
    """For `k` below `size`: whether the token `k` places before is in the document.

    A mask has one entry per token, except the first `size - 1` of the history.
    """
    seq_len = history.shape[-1] - (size - 1)
    ends = history == NO_TOKEN
    if eos_id is not None:
        ends = ends | (history == eos_id)
    reached = jnp.ones_like(_before(ends, 0, size, seq_len))
    masks = [reached]
    for k in range(1, size):
        reached = reached & ~_before(ends, k, size, seq_len)
        if starts is not None:
            reached = reached & ~_before(starts, k - 1, size, seq_len)
        masks.append(reached)
    return masks


def windows(ids, masks):
    """For every `k`: ids of the tokens `k` places before, `NO_TOKEN` if outside."""
    size, seq_len = len(masks), masks[0].shape[-1]
    tokens = (_before(ids, k, size, seq_len) for k in range(size))
    return [
        jnp.where(mask, token, NO_TOKEN)
        for mask, token in zip(masks, tokens, strict=True)
    ]


def placed_as(token_ids, tokens):
    """The tokens of each n-gram, sharded as the token ids are, along sequences too."""
    sharding = sharding_like(token_ids, explicit_axes(token_ids))
    return [spread(token, sharding) for token in tokens]


def _before(values, k, size, seq_len):
    """What a history has `k` places before each token."""
    return values[..., size - 1 - k : size - 1 - k + seq_len]


def _beside(values, ids):
    """Values `(*#batch, length)` with the batch of `ids`, sharded as it is."""
    values = jnp.broadcast_to(values, (*ids.shape[:-1], values.shape[-1]))
    axes = explicit_axes(ids)
    return values if axes is None else jax.reshard(values, sharding_like(ids, axes))
