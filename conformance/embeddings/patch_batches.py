"""Batches of images of any size as SigLIP 2 cuts and packs them."""

import ast
import functools
import importlib.util
import pathlib

import numpy as np

import attnax.functional as F

from .records import Record

CHANNELS = 2
_GRIDS = ((2, 4), (1, 1), (3, 3))


def normal(rng, *shape):
    """Normal numbers in float32."""
    return rng.normal(size=shape).astype(np.float32)


def call_record(name, source, call, options, arrays):
    """A record of a call of attnax."""
    return Record(name, source, {"call": call, **options}, arrays)


def siglip2(rng):
    """Records of sizes of images, and of packed patches."""
    import torch
    import transformers

    by = f"transformers {transformers.__version__}, models/siglip2/image_processing"
    functions = _functions_of(
        "transformers", "models/siglip2/image_processing_siglip2.py"
    )
    size_for, cut, pad = (
        functions[name]
        for name in (
            "get_image_size_for_max_num_patches",
            "convert_image_to_patches",
            "pad_along_first_dim",
        )
    )
    for patch, most in ((16, 256), (14, 1024), (32, 49)):
        sizes = rng.integers(1, 2048, (1000, 2))
        sizes[:100] = rng.integers(1, 40, (100, 2))
        expected = [size_for(*map(int, size), patch, most) for size in sizes]
        arrays = {"sizes": sizes.astype(np.int32)}
        arrays["expected"] = np.array(expected, np.int32)
        options = {"patch": patch, "max_patches": most}
        name = f"siglip2: sizes for {most} patches of {patch}"
        yield call_record(name, by, "image_size", options, arrays)

    images = [normal(rng, 3 * rows, 3 * columns, CHANNELS) for rows, columns in _GRIDS]
    rows = [
        pad(cut(torch.tensor(image).permute(2, 0, 1), 3), 9)[0].numpy()
        for image in images
    ]
    arrays = {f"image_{i}": image for i, image in enumerate(images)}
    arrays["expected"] = np.stack(rows)
    options = {"patch": 3, "max_patches": 9}
    yield call_record("siglip2: packed patches", by, "pack", options, arrays)


def _functions_of(package, path):
    """The functions of a file whose imports are not all installed."""
    root = importlib.util.find_spec(package).submodule_search_locations[0]
    tree = ast.parse((pathlib.Path(root) / path).read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    import torch

    names = {"torch": torch}
    exec(compile(tree, path, "exec"), names)
    return names


def image_size(options, arrays):
    """The sizes by attnax."""
    size_for = functools.partial(
        F.image_size_for_max_patches,
        patch_size=options["patch"],
        max_patches=options["max_patches"],
    )
    sizes = np.asarray(arrays["sizes"]).tolist()
    return np.array([size_for(tuple(size)) for size in sizes])


def pack(options, arrays):
    """The packed patches by attnax."""
    images = [arrays[f"image_{i}"] for i in range(len(arrays) - 1)]
    return F.pack_patches(images, options["patch"], options["max_patches"]).patches
