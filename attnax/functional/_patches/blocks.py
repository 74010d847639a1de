"""Moves pixels into patches and back, in JAX and in NumPy arrays."""

import math
from typing import Any

import numpy as np
from jax import lax

from ..._sharding import explicit_axes, sharding_like

_ORDERS = {2: ("HWC", "CHW"), 3: ("THWC", "CTHW")}  # by the axes of a patch


def cut(image, grid, patch, patch_order) -> Any:
    """Returns the patches of an image; they must fill it."""
    channels = image.shape[-1]
    shape, axes = _blocks(grid, patch, channels, patch_order)
    blocks = _reshape(image, len(grid) + 1, shape)
    blocks = _transpose(blocks, axes)
    flat = (math.prod(grid), math.prod(patch) * channels)
    return own(_reshape(blocks, len(axes), flat), image)


def join(patches, grid, patch, patch_order) -> Any:
    """Returns the image that the patches make up; their sizes must fit."""
    channels = patches.shape[-1] // math.prod(patch)
    shape, axes = _blocks(grid, patch, channels, patch_order)
    blocks = _reshape(patches, 2, tuple(shape[axis] for axis in axes))
    blocks = _transpose(blocks, np.argsort(axes).tolist())
    pixels = (count * side for count, side in zip(grid, patch, strict=True))
    return own(_reshape(blocks, len(axes), (*pixels, channels)), patches)


def own(array, source) -> Any:
    """Returns `array`, copied if it is a NumPy array that may share memory."""
    if isinstance(array, np.ndarray) and np.may_share_memory(array, source):
        return array.copy()
    return array


def _blocks(grid, patch, channels, patch_order):
    """Returns the shape of the image in blocks, and the order of axes for patches."""
    num_axes = len(grid)
    shape = [size for pair in zip(grid, patch, strict=True) for size in pair]
    axes = [*range(0, 2 * num_axes, 2), *range(1, 2 * num_axes, 2)]
    if _channels_first(patch_order, num_axes):
        return (*shape, channels), (*axes[:num_axes], 2 * num_axes, *axes[num_axes:])
    # Columns and channels stay one axis: with two, jax 0.12 takes four times as long.
    return (*shape[:-1], shape[-1] * channels), tuple(axes)


def _channels_first(patch_order, num_axes) -> bool:
    """Returns whether `patch_order` puts channels first; `None` puts them last."""
    last, first = _ORDERS[num_axes]
    known = patch_order is None or isinstance(patch_order, str)
    if not known or patch_order not in (None, last, first):
        raise ValueError(
            f"{patch_order=} must be '{last}' or '{first}' for patches of "
            f"{num_axes} axes."
        )
    return patch_order == first


def _transpose(x, axes):
    """Reorders the last axes and leaves the batch in front."""
    batch = x.ndim - len(axes)
    return x.transpose(*range(batch), *(batch + axis for axis in axes))


def _reshape(x, num_axes, shape):
    """Replaces the last `num_axes` by `shape`; the batch keeps its sharding."""
    batch = x.shape[:-num_axes]
    if isinstance(x, np.ndarray):
        return x.reshape(*batch, *shape)
    axes = explicit_axes(x)
    if axes is not None:
        axes = (*axes[: len(batch)], *(None for _ in shape))
    return lax.reshape(x, (*batch, *shape), out_sharding=sharding_like(x, axes))
