"""Images of different sizes in one batch of patches."""

import math
from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, Int32, Shaped

from ..._checks import (
    any_array,
    bool_array,
    check_params,
    integer_array,
    is_known,
    positive_integer,
    side_lengths,
    type_of,
)
from ..._public import public
from .blocks import cut, join
from .patch_grid import grid_of_image


class PackedPatches(NamedTuple):
    """Patches of images of different sizes, one image per row, padded at the end.

    Attributes:
        patches: Patches in the form that `patchify` returns; zero at padding.
        coordinates: `(row, column)` of each patch in its image; zero at padding.
        mask: Bools that are True at real patches.
        grids: `(rows, columns)` of patches of each image.
    """

    patches: Shaped[Array | np.ndarray, "batch max_patches patch_dim"]
    coordinates: Int32[Array | np.ndarray, "batch max_patches 2"]
    mask: Bool[Array | np.ndarray, "batch max_patches"]
    grids: Int32[Array | np.ndarray, "batch 2"]


@public
def pack_patches(
    images: Sequence[Shaped[Array | np.ndarray, "_ _ channels"]],
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    max_patches: SupportsIndex,
    *,
    patch_order: str | None = None,
) -> PackedPatches:
    """Cuts images of different sizes into one batch of patches (NaFlex, SigLIP 2).

    Every image becomes a row of `max_patches` patches, whatever its size, so a program
    compiled for one batch serves all batches. NumPy images are cut on the host, which
    compiles nothing.

    Args:
        images: Images of one dtype, each `(height, width, channels)`. NumPy or JAX
            arrays.
        patch_size: Side of a patch in pixels, or `(height, width)`.
        max_patches: Patches per image, padding included. Positive.
        patch_order: Order of the features of a patch, see `patchify`.

    Returns:
        Patches for `apply_patch_projection`, coordinates, mask and grids. They are
        NumPy arrays if all images are, and JAX arrays otherwise. The patches have the
        dtype of the images. `jax.device_put` turns the record into JAX arrays, and
        float64 into float32 outside 64-bit mode.

    Raises:
        ValueError: If there is no image, a size is not a positive integer, or an image
            has more than `max_patches` patches, is not a multiple of the patch, or
            differs from the first image in channels or dtype.

    Example:
        >>> packed = pack_patches([jnp.ones((4, 6, 3)), jnp.ones((2, 4, 3))], 2, 8)
        >>> packed.patches.shape, packed.mask.sum(1).tolist()
        ((2, 8, 12), [6, 2])

    Reference:
        Tschannen et al., SigLIP 2, 2025, section 2.4.2 (NaFlex).
        https://arxiv.org/abs/2502.14786; Dehghani et al., Patch n' Pack: NaViT, 2023.
        https://arxiv.org/abs/2307.06304
    """
    patch = side_lengths("patch_size", patch_size, most_axes=2)
    max_patches = positive_integer("max_patches", max_patches)
    _check_images(images)
    if len(images) == 0:
        raise ValueError(f"{images=} must hold an image at least.")
    xp = np if all(isinstance(image, np.ndarray) for image in images) else jnp
    rows, grids = [], []
    for index, image in enumerate(images):
        grid = _grid(index, image, images[0], patch, max_patches)
        cut_image = cut(image, grid, patch, patch_order)
        padding = max_patches - math.prod(grid)
        rows.append(xp.pad(cut_image, ((0, padding), (0, 0))))
        grids.append(grid)
    grids = np.array(grids, np.int32)
    index = np.arange(max_patches, dtype=np.int32)
    mask = _mask(grids, max_patches)
    coordinates = np.stack(np.divmod(index, grids[:, 1:]), -1) * mask[..., None]
    arrays = (coordinates, mask, grids)
    return PackedPatches(xp.stack(rows), *map(xp.asarray, arrays))


@public
def unpack_patches(
    packed: PackedPatches,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    *,
    patch_order: str | None = None,
) -> list[Shaped[Array | np.ndarray, "_ _ channels"]]:
    """Returns the images that `pack_patches` packed.

    Args:
        packed: Record that `pack_patches` returns. Its `patches` may be traced. Its
            `grids` may not, because sizes of arrays depend on them.
        patch_size: Patch size that was given to `pack_patches`.
        patch_order: Order that was given to `pack_patches`.

    Returns:
        A list of images. They are NumPy arrays if `packed.patches` is one, never views.

    Raises:
        ValueError: If `packed.grids` is traced, if it or `patch_size` does not fit
            `packed.patches`, or if `packed.mask` is known and does not fit the grids.

    Example:
        >>> images = [jnp.ones((4, 6, 3)), jnp.ones((2, 4, 3))]
        >>> [i.shape for i in unpack_patches(pack_patches(images, 2, 8), 2)]
        [(4, 6, 3), (2, 4, 3)]

    Reference:
        Tschannen et al., SigLIP 2, 2025, section 2.4.2 (NaFlex).
        https://arxiv.org/abs/2502.14786
    """
    patch = side_lengths("patch_size", patch_size, most_axes=2)
    check_params(packed, PackedPatches, "packed")
    any_array("packed.patches", packed.patches)
    grids = integer_array("packed.grids", packed.grids)
    if isinstance(grids, Tracer):
        raise ValueError("packed.grids must not be traced; pass NumPy grids.")
    shape = packed.patches.shape
    if len(shape) != 3 or shape[-1] % math.prod(patch) != 0:
        raise ValueError(
            f"{packed.patches.shape=} must be (batch, max_patches, a multiple "
            f"of {patch[0]} x {patch[1]}) for {patch_size=}."
        )
    grids = _known_grids(packed, np.asarray(grids))
    return [
        join(row[: math.prod(grid)], tuple(grid), patch, patch_order)
        for row, grid in zip(packed.patches, grids.tolist(), strict=True)
    ]


def _known_grids(packed, grids):
    """Returns the grids; raises unless patches and mask fit them."""
    batch, max_patches, _ = packed.patches.shape
    if grids.shape != (batch, 2):
        raise ValueError(
            f"packed.grids={grids.tolist()} must be ({batch}, 2) integers."
        )
    # Each side is checked first, because the product of both could wrap.
    fits = (grids > 0).all() and (grids <= max_patches).all()
    if not fits or (grids.prod(1) > max_patches).any():
        raise ValueError(
            f"packed.grids={grids.tolist()} must be of at most "
            f"{max_patches} patches each."
        )
    mask = bool_array("packed.mask", packed.mask)
    if is_known(mask) and not np.array_equal(mask, _mask(grids, max_patches)):
        raise ValueError(
            f"packed.grids={grids.tolist()} must have their patches where "
            f"packed.mask has them; it has {np.asarray(mask).sum(-1).tolist()}."
        )
    return grids


def _check_images(images):
    is_array = isinstance(images, np.ndarray | jax.Array) and images.ndim > 0
    if not is_array and not isinstance(images, Sequence):
        raise ValueError(f"images is {type_of(images)}, but must be several arrays.")
    for index, image in enumerate(images):
        any_array(f"images[{index}]", image)


def _mask(grids, max_patches):
    """Returns a mask of the first patches of each row, as many as its grid has."""
    return np.arange(max_patches) < grids.prod(1, keepdims=True)


def _grid(index, image, first, patch, max_patches):
    """Returns `(rows, columns)` of patches of one image; raises if it does not fit."""
    name = f"images[{index}]"
    grid = grid_of_image(image, patch, name)
    if image.ndim != 3 or image.shape[-1:] != first.shape[-1:]:
        raise ValueError(
            f"{name}.shape={image.shape} must be (height, width, "
            f"{first.shape[-1] if first.ndim else 'channels'})."
        )
    if image.dtype != first.dtype:
        raise ValueError(
            f"{name}.dtype={image.dtype} must be {first.dtype}, that of images[0]."
        )
    excess = math.prod(grid) - max_patches
    if excess > 0:
        raise ValueError(
            f"{name} has {math.prod(grid)} patches, {excess} more than {max_patches=}; "
            "resize it to image_size_for_max_patches."
        )
    return grid
