"""Where packed documents begin and end, and the document of each token."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Int32

from ..._checks import (
    INT32_MAX,
    check_axes,
    first_where,
    integer_array,
    is_integer,
    is_known,
)
from ..._sharding import explicit_axes, gathered, sharding_like

_NAME = "cumulative_lengths"


class Documents(NamedTuple):
    """The documents of tokens; all is 0 for a token outside every document.

    Attributes:
        number: The number of the document, counted from 1.
        begin: Index of its first token.
        length: Number of its tokens.
        position: The distance of the token from the first one.
    """

    number: Int32[Array, "*batch num_tokens"]
    begin: Int32[Array, "*batch num_tokens"]
    length: Int32[Array, "*batch num_tokens"]
    position: Int32[Array, "*batch num_tokens"]


def boundaries_of(cumulative_lengths, num_shards=None, total_len=None):
    """Checked cumulative lengths in int32, which do not decrease.

    In a traced array, a number below one in front of it counts as that one. With
    `num_shards`, known numbers must be multiples of twice that, and at most
    `total_len`.
    """
    ends = integer_array(_NAME, cumulative_lengths)
    check_axes(_NAME, ends, "num_documents + 1")
    if 0 in ends.shape[-1:]:
        raise ValueError(f"{_NAME}.shape={ends.shape} must end in 1 or more: 0 first.")
    if is_known(ends):
        _check_on_host(np.asarray(ends), num_shards, total_len)
    limit = min(INT32_MAX, jnp.iinfo(ends.dtype).max)
    ends = jnp.asarray(ends.clip(0, limit)).astype(jnp.int32)
    return lax.cummax(ends, axis=ends.ndim - 1)


def documents_at(boundaries, token_indices):
    """The document of each token: see `Documents`."""
    of_boundaries, of_tokens = boundaries.shape[:-1], token_indices.shape[:-1]
    longer, shorter = sorted((of_boundaries, of_tokens), key=len, reverse=True)
    if longer[len(longer) - len(shorter) :] != shorter:
        raise ValueError(
            f"token_indices.shape={token_indices.shape} must have the batch axes "
            f"{of_boundaries} of {_NAME}, or none."
        )
    find = _documents_of_row
    for level in range(len(longer)):
        axes = (0 if len(t) > level else None for t in (of_boundaries, of_tokens))
        find = jax.vmap(find, in_axes=tuple(axes))
    return find(boundaries, token_indices)


def _documents_of_row(boundaries, token_indices):
    count = boundaries.shape[0]
    sharding = sharding_like(token_indices, explicit_axes(token_indices))
    read = partial(gathered, boundaries, out_sharding=sharding, mode="clip")
    # A binary search, unrolled: the loop of `jnp.searchsorted` needs five times the
    # memory of its result.
    steps = count.bit_length() if is_integer(count) else 31
    passed = jnp.zeros_like(token_indices)
    for step in (1 << bit for bit in reversed(range(steps))):
        probe = passed + step
        is_passed = (probe <= count) & (read(probe - 1) <= token_indices)
        passed = jnp.where(is_passed, probe, passed)
    inside = (passed > 0) & (passed < count)
    begin, end = read(passed - 1), read(passed)
    found = passed, begin, end - begin, token_indices - begin
    return Documents(*(jnp.where(inside, t, 0) for t in found))


def _check_on_host(ends, num_shards, total_len):
    other = first_where(_NAME, ends[..., :1], ends[..., :1] != 0)
    if other is not None:
        raise ValueError(f"{other} must be 0; put a 0 in front of a cumulative sum.")
    # The comparison of neighbours does not wrap, as their difference may.
    falls = np.zeros(ends.shape, bool)
    falls[..., 1:] = ends[..., 1:] < ends[..., :-1]
    other = first_where(_NAME, ends, falls)
    if other is not None:
        raise ValueError(f"{other} must be at least the number in front of it.")
    if num_shards is None:
        return
    other = first_where(_NAME, ends, ends % (2 * num_shards) != 0)
    if other is not None:
        raise ValueError(
            f"{other} must be a multiple of 2 * {num_shards=}; pad each document."
        )
    other = first_where(_NAME, ends, ends > total_len)
    if other is not None:
        raise ValueError(f"{other} must be at most {total_len=}.")
