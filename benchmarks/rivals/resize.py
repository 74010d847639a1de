"""Other ways to resize a table of positions, also to sizes that are data."""

import itertools

import jax
import jax.numpy as jnp

import attnax.functional as F
from attnax.functional._resizing.axis import dense_weights, tap_weights


def image_resize(table, old, new, antialias):
    """Resizes to one size by `jax.image.resize`."""
    grid = table.reshape(*old, -1)
    shape = (*new, grid.shape[-1])
    out = jax.image.resize(grid, shape, "cubic", antialias=antialias)
    return out.reshape(-1, grid.shape[-1])


def translated(old, side, table, grids, where, mask):
    """Resizes as big_vision does: each image on a canvas, from which rows are picked.

    The canvas has a static side, whatever the size of the image.
    """
    width = table.shape[-1]

    def one(grid, where):
        scale = grid.astype(jnp.float32) / old[0]
        canvas = jax.image.scale_and_translate(
            table.reshape(*old, width),
            (side, side, width),
            (0, 1),
            scale,
            jnp.zeros(2),
            method="linear",
            antialias=True,
        )
        return canvas[where[:, 0], where[:, 1]]

    return jnp.where(mask[..., None], jax.vmap(one)(grids, where), 0)


def added_up(old, side, table, grids, where, mask):
    """Adds up bicubic taps, whose gradient is what autodiff makes of reading them."""
    bicubic = F.Resampling("bicubic", antialias=False)
    axes = [_taps(old[axis], grids[:, axis], side, bicubic) for axis in (0, 1)]
    image = jnp.arange(len(grids))[:, None]
    (rows, by_row), (columns, by_column) = (
        [part[image, where[..., axis]] for part in parts]
        for axis, parts in enumerate(axes)
    )
    total = jnp.zeros((*mask.shape, table.shape[-1]))
    for i, j in itertools.product(range(4), range(4)):
        weight = (by_row[..., i] * by_column[..., j])[..., None]
        total += weight * table[rows[..., i] * old[1] + columns[..., j]]
    return jnp.where(mask[..., None], total, 0)


def by_axis(old, longest, resampling, table, grids, where, mask):
    """Multiplies by two matrices for each image, and picks patches from the whole."""
    by_row, by_column = (
        _matrices(old[axis], grids[:, axis], longest, resampling) for axis in (0, 1)
    )
    grid = table.reshape(*old, -1)
    whole = jnp.einsum("bir,bjc,rcd->bijd", by_row, by_column, grid)
    image = jnp.arange(len(grids))[:, None]
    return jnp.where(mask[..., None], whole[image, where[..., 0], where[..., 1]], 0)


def _matrices(old_size, sizes, max_size, resampling):
    """Matrices that resize one axis to each of `sizes`; rows past a size are zero."""
    index, size = _rows(sizes, max_size)
    # Past the last row the weights could be 0 / 0.
    row = jnp.minimum(index, size - 1)
    weights = dense_weights(jnp, jnp.float32, row, size, old_size, resampling)
    return jnp.where((index < size)[..., None], weights, 0)


def _taps(old_size, sizes, max_size, resampling):
    """Indices and weights of the rows that each row of such an axis reads."""
    index, size = _rows(sizes, max_size)
    taps, weights = tap_weights(jnp, jnp.float32, index, size, old_size, resampling)
    inside = (index < size)[..., None]
    return jnp.where(inside, taps, 0), jnp.where(inside, weights, 0)


def _rows(sizes, max_size):
    """Numbers of the rows of every image, and its size beside them."""
    shape = (*sizes.shape, max_size)
    index = jnp.broadcast_to(jnp.arange(max_size, dtype=jnp.int32), shape)
    return index, sizes[..., None]
