"""Does resizing the positions inside a step cost less than embedding the patches?"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from . import cases
from .bench_patch import project
from .rivals.resize import matrices, taps
from .timing.harness import Group
from .timing.programs import Program
from .timing.pullback import pullback

WIDTH, ROWS = 768, 16 * 16 * 3  # ViT-B/16 and SigLIP-2 B/16
# Images of at most 256 patches, as SigLIP-2's processor sizes them.
GRIDS = ((16, 16), (12, 20), (8, 31), (13, 19), (16, 15), (11, 23), (9, 28), (14, 18))


def static(quick):
    """ViT-B/16 of 224 pixels at 384, each way of resizing once for an image."""
    old, new = ((3, 3), (4, 5)) if quick else ((14, 14), (24, 24))
    width = 16 if quick else WIDTH
    table = cases.normal(0, (old[0] * old[1], width))
    grid, where = np.array(new, np.int32), F.positions_from_grid(new)
    cotangent = cases.normal(1, (new[0] * new[1], width))
    patches, weight = (
        cases.normal(seed, shape)
        for seed, shape in ((2, (new[0] * new[1], ROWS)), (3, (ROWS, width)))
    )
    limit = Program(project, (weight, patches))
    for antialias in (False, True):
        resampling = F.Resampling("bicubic", antialias)

        def resize(t, resampling=resampling):
            return F.resize_positions(t, old, new, resampling)

        def at(t, g, w, resampling=resampling):
            return F.resize_positions_at(t, old, g, w, resampling)

        def image_resize(t, antialias=antialias):
            out = jax.image.resize(
                t.reshape(*old, width), (*new, width), "cubic", antialias=antialias
            )
            return out.reshape(-1, width)

        functions = {
            "attnax": (resize, ()),
            "attnax, sizes as data": (at, (grid, where)),
            "jax.image.resize": (image_resize, ()),
        }
        kind = "bicubic" + ", antialiased" * antialias
        name = f"positions {old[0]}x{old[1]} to {new[0]}x{new[1]}, {kind}"
        yield _group(name, limit, functions, table, cotangent)


def ragged(quick):
    """A packed batch whose images differ in size, as data of the step."""
    old, side = (16, 16), 64
    width, length = (16, 256) if quick else (WIDTH, 256)
    grids = np.array(GRIDS[:2] if quick else GRIDS, np.int32)
    where = np.zeros((len(grids), length, 2), np.int32)
    mask = np.zeros((len(grids), length), bool)
    for image, grid in enumerate(grids.tolist()):
        rows = F.positions_from_grid(grid)
        where[image, : len(rows)], mask[image, : len(rows)] = rows, True
    table = cases.normal(0, (256, width))
    cotangent = cases.normal(1, (len(grids), length, width))
    patches = cases.normal(2, (len(grids), length, ROWS))
    limit = Program(project, (cases.normal(3, (ROWS, width)), patches))

    def translated(t, grids, where, mask):
        """big_vision's way: each image on a canvas of a static side, then picked."""

        def one(grid, where):
            scale = grid.astype(jnp.float32) / 16
            canvas = jax.image.scale_and_translate(
                t.reshape(*old, width),
                (side, side, width),
                (0, 1),
                scale,
                jnp.zeros(2),
                method="linear",
                antialias=True,
            )
            return canvas[where[:, 0], where[:, 1]]

        return jnp.where(mask[..., None], jax.vmap(one)(grids, where), 0)

    def added_up(t, grids, where, mask):
        """Taps whose gradient is what autodiff makes of reading them."""
        bicubic = F.Resampling("bicubic", antialias=False)
        axes = [taps(16, grids[:, axis], side, bicubic) for axis in (0, 1)]
        image = jnp.arange(len(grids))[:, None]
        (rows, by_row), (columns, by_column) = (
            [part[image, where[..., axis]] for part in parts]
            for axis, parts in enumerate(axes)
        )
        total = jnp.zeros((*mask.shape, width))
        for i, j in itertools.product(range(4), range(4)):
            weight = (by_row[..., i] * by_column[..., j])[..., None]
            total += weight * t[rows[..., i] * 16 + columns[..., j]]
        return jnp.where(mask[..., None], total, 0)

    for method, antialias in (("bilinear", True), ("bicubic", False)):
        resampling = F.Resampling(method, antialias)

        def at(t, g, w, m, resampling=resampling):
            return F.resize_positions_at(t, old, g, w, resampling, mask=m)

        data = (grids, where, mask)
        functions = {"attnax": (at, data)}
        if antialias:
            functions["scale_and_translate"] = (translated, data)
        else:
            functions["adding up taps"] = (added_up, data)
        kind = method + ", antialiased" * antialias
        name = f"positions of {len(grids)} images of at most {length} patches, {kind}"
        yield _group(name, limit, functions, table, cotangent)


def large(quick):
    """DINOv2-B/14 with registers, of 518 pixels, in a batch of other sizes."""
    rows = 14 * 14 * 3
    side, new, width = (5, 6, 16) if quick else (37, 32, WIDTH)
    grids = np.array([[new, new], [new + 1, new - 1], [new - 4, new + 4]], np.int32)
    most, longest = int(grids.prod(1).max()), int(grids.max())
    where = np.zeros((len(grids), most, 2), np.int32)
    mask = np.zeros((len(grids), most), bool)
    for image, grid in enumerate(grids.tolist()):
        found = F.positions_from_grid(grid)
        where[image, : len(found)], mask[image, : len(found)] = found, True
    table = cases.normal(0, (side * side, width))
    cotangent = cases.normal(1, (len(grids), most, width))
    patches = cases.normal(2, (len(grids), most, rows))
    limit = Program(project, (cases.normal(3, (rows, width)), patches))
    resampling = F.Resampling("bicubic", antialias=True)

    def at(t, g, w, m):
        return F.resize_positions_at(t, (side, side), g, w, resampling, mask=m)

    def by_axis(t, g, w, m):
        """Two matrices for each image, and its patches picked from the whole."""
        by_row, by_column = (
            matrices(side, g[:, axis], longest, resampling) for axis in (0, 1)
        )
        grid = t.reshape(side, side, width)
        whole = jnp.einsum("bir,bjc,rcd->bijd", by_row, by_column, grid)
        image = jnp.arange(len(g))[:, None]
        return jnp.where(m[..., None], whole[image, w[..., 0], w[..., 1]], 0)

    data = (grids, where, mask)
    name = f"positions of {len(grids)} images, table {side}x{side}, antialiased"
    functions = {"attnax": (at, data), "resize_matrix by axis": (by_axis, data)}
    yield _group(name, limit, functions, table, cotangent)


def _group(name, limit, functions, table, cotangent):
    forward = {n: Program(f, (table, *a)) for n, (f, a) in functions.items()}
    backward = {
        n: Program(pullback(f), (table, *a, cotangent))
        for n, (f, a) in functions.items()
    }
    return name, limit, forward, backward


def groups(quick):
    # The target is for the sizes of ViT-B; a larger table has none.
    for cases_of, target in ((static, 1.0), (ragged, 1.0), (large, None)):
        for name, limit, forward, backward in cases_of(quick):
            meta = {"dtype": "float32"}
            for part, rivals in (("forward", forward), ("gradient", backward)):
                yield Group(
                    f"{name}, {part}",
                    "patch embedding",
                    {"limit": limit, **rivals},
                    target,
                    meta,
                )
