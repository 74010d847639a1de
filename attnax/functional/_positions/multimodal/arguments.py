"""The arguments of `multimodal_positions`, checked and in one form."""

import jax.numpy as jnp
import numpy as np

from ...._checks import (
    bool_array,
    broadcasts_to,
    check_one_per_token,
    first_where,
    int32_in_range,
    integer_array,
    is_known,
    number_array,
)
from ...._sharding import explicit_axes, sharding_like, spread
from .faults import check_known_grids
from .table import IMAGE, LAST_TIME, NAMES, VIDEO, Grids


def whole_mask(mask, types):
    """A mask of bools in the shape of the tokens; all True for `None`."""
    every = jnp.ones_like(types, bool)
    if mask is None:
        return every
    mask = jnp.asarray(bool_array("mask", mask))
    check_one_per_token("mask", mask.shape, types.shape, "the shape of token_types")
    return mask.reshape((1,) * (types.ndim - mask.ndim) + mask.shape) & every


def checked_grids(rule, types, image_grids, video_grids, seconds) -> Grids:
    """The grids of images and videos together; `None` stands for no grids."""
    given = {IMAGE: image_grids, VIDEO: video_grids}
    given = {kind: grids for kind, grids in given.items() if grids is not None}
    # Without any grids, a patch finds the end of those of images.
    given = given or {IMAGE: np.zeros((0, 3), np.int32)}
    given = {k: integer_array(name(k), grids) for k, grids in given.items()}
    sizes = [_sizes(rule, kind, grids, types) for kind, grids in given.items()]
    if len({array.ndim == 2 for array in sizes}) > 1:
        shapes = " and ".join(f"{name(k)}.shape={np.shape(given[k])}" for k in given)
        raise ValueError(
            f"{shapes} must both be of the whole batch, or both of each sequence."
        )
    if seconds is not None:
        seconds = _seconds(rule, seconds, given.get(VIDEO))
    shared = sizes[0].ndim == 2
    if not any(array.size for array in sizes):
        # Sequences have nothing to share, and a batch that is sharded is no mistake.
        shared, one_each = False, (1,) * (types.ndim - 1)
        sizes = [array.reshape(*one_each, 0, 3) for array in sizes]
        seconds = None
    if shared:
        first = next(iter(given))
        _check_batch_is_whole(name(first), tuple(sizes[0].shape), types)
    if seconds is not None:
        ones = [jnp.ones(array.shape[:-1], jnp.float32) for array in sizes[:-1]]
        seconds = _stacked([*ones, seconds], types, 1)
    sizes = _stacked(sizes, types, 2)
    return Grids(given, sizes, seconds, shared and types.ndim > 1)


def name(kind):
    """The argument with the grids of a kind."""
    return f"{NAMES[kind]}_grids"


def _sizes(rule, kind, grids, types):
    """Grids of a kind in int32, with -1 for sizes that are not in int32."""
    sizes, valid = int32_in_range(name(kind), grids, 0)
    batch, shape = types.shape[:-1], tuple(sizes.shape)
    per_sequence = len(shape) > 2 and broadcasts_to(shape[:-2], batch)
    if shape[-1:] != (3,) or not (len(shape) == 2 or per_sequence):
        raise ValueError(
            f"{name(kind)}.{shape=} must be (num_grids, 3) for the whole batch, or "
            f"{batch} and these two for each sequence; a grid has (frames, rows, "
            "columns)."
        )
    # Under `jit`, `sizes` are traced though the grids are known.
    if is_known(grids):
        check_known_grids(rule, kind, name(kind), np.asarray(grids))
    return sizes if valid is None else jnp.where(valid, sizes, -1)


def _seconds(rule, seconds, grids):
    """Seconds per grid in float32."""
    if rule.positions_per_second is None:
        raise ValueError(
            "seconds_per_grid must be None for a rule with positions_per_second=None, "
            "which counts frames."
        )
    seconds = number_array("seconds_per_grid", seconds)
    shape = tuple(seconds.shape)
    if grids is None or shape != grids.shape[:-1]:
        wanted = None if grids is None else tuple(grids.shape[:-1])
        raise ValueError(
            f"seconds_per_grid.{shape=} must be {wanted}, that of video_grids without "
            "the last axis."
        )
    if is_known(seconds):
        most = LAST_TIME / rule.positions_per_second
        known = np.asarray(seconds)
        frames = np.asarray(grids)[..., 0] if is_known(grids) else 1
        last = known * np.maximum(frames // rule.temporal_merge_size - 1, 0)
        first = first_where("seconds_per_grid", known, ~((known >= 0) & (last <= most)))
        if first is not None:
            raise ValueError(
                f"{first} must be at least 0, and the last frame at most 2**24 "
                "positions after the first."
            )
    return jnp.asarray(seconds).astype(jnp.float32)


def _check_batch_is_whole(grids_name, shape, types):
    """Raises if grids of the whole batch meet a batch that is sharded."""
    axes = (explicit_axes(types) or ())[:-1]
    if any(axis is not None for axis in axes):
        raise ValueError(
            f"{grids_name}.{shape=} must begin with the batch axes of token_types, "
            f"which are sharded over {axes}; pass the grids of each sequence."
        )


def _stacked(parts, types, num_axes):
    """Arrays of each kind as one, which has a new axis in front of the last `num_axes`.

    Zeros fill up the shorter ones, and stand alone where all are empty.
    """
    longest = max(1, *(part.shape[-num_axes] for part in parts))
    filled = []
    for part in parts:
        added = [(0, 0)] * part.ndim
        added[-num_axes] = (0, longest - part.shape[-num_axes])
        filled.append(_of_each_sequence(jnp.pad(part, added), types, num_axes))
    return jnp.stack(filled, axis=-num_axes - 1)


def _of_each_sequence(array, types, num_axes):
    """Grids of each sequence with the batch axes of the tokens, sharded as they are."""
    if array.ndim == num_axes:
        return array
    shape = (*types.shape[:-1], *array.shape[-num_axes:])
    array, axes = jnp.broadcast_to(array, shape), explicit_axes(types)
    if axes is None:
        return array
    return spread(array, sharding_like(types, (*axes[:-1], *[None] * num_axes)))
