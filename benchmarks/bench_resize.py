"""Does resizing the positions inside a step cost less than embedding the patches?"""

from functools import partial

import numpy as np

import attnax.functional as F

from . import cases
from .bench_patch import project
from .rivals.resize import added_up, by_axis, image_resize, translated
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
        resize = partial(
            F.resize_positions, old_grid=old, new_grid=new, resampling=resampling
        )
        functions = {
            "attnax": (resize, ()),
            "attnax, sizes as data": (_sizes_as_data(old, resampling), (grid, where)),
            "jax.image.resize": (
                partial(image_resize, old=old, new=new, antialias=antialias),
                (),
            ),
        }
        kind = "bicubic" + ", antialiased" * antialias
        name = f"positions {old[0]}x{old[1]} to {new[0]}x{new[1]}, {kind}"
        yield _group(name, limit, functions, table, cotangent)


def ragged(quick):
    """A packed batch whose images differ in size, as data of the step."""
    old, side = (16, 16), 64
    width, length = (16, 256) if quick else (WIDTH, 256)
    grids = np.array(GRIDS[:2] if quick else GRIDS, np.int32)
    data = _packed(grids, length)
    table = cases.normal(0, (256, width))
    cotangent = cases.normal(1, (len(grids), length, width))
    patches = cases.normal(2, (len(grids), length, ROWS))
    limit = Program(project, (cases.normal(3, (ROWS, width)), patches))
    for method, antialias, name, rival in (
        ("bilinear", True, "scale_and_translate", translated),
        ("bicubic", False, "adding up taps", added_up),
    ):
        resampling = F.Resampling(method, antialias)
        functions = {
            "attnax": (_sizes_as_data(old, resampling), data),
            name: (partial(rival, old, side), data),
        }
        kind = method + ", antialiased" * antialias
        name = f"positions of {len(grids)} images of at most {length} patches, {kind}"
        yield _group(name, limit, functions, table, cotangent)


def large(quick):
    """DINOv2-B/14 with registers, of 518 pixels, in a batch of other sizes."""
    rows = 14 * 14 * 3
    side, new, width = (5, 6, 16) if quick else (37, 32, WIDTH)
    grids = np.array([[new, new], [new + 1, new - 1], [new - 4, new + 4]], np.int32)
    most, longest = int(grids.prod(1).max()), int(grids.max())
    data, old = _packed(grids, most), (side, side)
    table = cases.normal(0, (side * side, width))
    cotangent = cases.normal(1, (len(grids), most, width))
    patches = cases.normal(2, (len(grids), most, rows))
    limit = Program(project, (cases.normal(3, (rows, width)), patches))
    resampling = F.Resampling("bicubic", antialias=True)
    functions = {
        "attnax": (_sizes_as_data(old, resampling), data),
        "resize_matrix by axis": (partial(by_axis, old, longest, resampling), data),
    }
    name = f"positions of {len(grids)} images, table {side}x{side}, antialiased"
    yield _group(name, limit, functions, table, cotangent)


def _packed(grids, length):
    """Sizes of images, coordinates of their patches, and which rows are patches."""
    where = np.zeros((len(grids), length, 2), np.int32)
    mask = np.zeros((len(grids), length), bool)
    for image, grid in enumerate(grids.tolist()):
        rows = F.positions_from_grid(grid)
        where[image, : len(rows)], mask[image, : len(rows)] = rows, True
    return grids, where, mask


def _sizes_as_data(old, resampling):
    """The resize of attnax, whose sizes are arguments of the program."""
    return lambda table, grids, where, mask=None: F.resize_positions_at(
        table, old, grids, where, resampling, mask=mask
    )


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
