"""Maps of token ids to the ids that are hashed."""

import jax
import jax.numpy as jnp

from ..._checks import check_not_sharded, int32_in_range
from ..._sharding import explicit_axes, gathered, sharding_like
from .windows import NO_ROW


def checked_map(token_map, hashing):
    """A map as int32, with `NO_ROW` for traced ids outside the vocabulary."""
    if token_map is None:
        return None
    ids, valid = int32_in_range("token_map", token_map, 0, hashing.vocab_size)
    if ids.ndim != 1 or ids.shape[0] == 0:
        raise ValueError(f"token_map.shape={ids.shape} must be (num_ids,).")
    check_not_sharded("token_map", ids, 1, "reshard it first")
    return ids if valid is None else jnp.where(valid, ids, NO_ROW)


def mapped(ids, token_map):
    """Ids after the map, which keeps what is no id; sharded as the ids are."""
    if token_map is None:
        return ids
    axes = explicit_axes(ids)
    if axes is not None:  # the map may have been made outside the mesh
        token_map = jax.reshard(token_map, sharding_like(ids, (None,)))
    found = gathered(
        token_map,
        ids,
        out_sharding=sharding_like(ids, axes),
        mode="clip",
        wrap_negative_indices=False,
    )
    return jnp.where(ids < 0, ids, found)
