"""Patches, their projections and kernels for other sizes, by the code of others."""

import ast
import functools
import importlib.metadata
import importlib.util
import math
import pathlib
import types

import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from .records import Record

CHANNELS, WIDTH = 2, 3
RESIZINGS = (
    *(("bicubic", True), ("bicubic", False)),
    *(("bilinear", True), ("bilinear", False)),
)
# Old and new height and width: up, down, one of each; none square. None is new with a
# width of 1: torch 2.13 makes every row the first one there, where it antialiases.
PAIRS = (
    ((4, 3), (7, 5)),
    ((9, 7), (4, 5)),
    ((4, 9), (7, 5)),
    ((8, 5), (8, 11)),
    ((5, 4), (1, 3)),
    ((16, 12), (14, 17)),
)


def records():
    """Kernels resized, patches embedded, padded and packed."""
    rng = np.random.default_rng(0)
    for make in (_resized, _resized_linear, _videos, _qwen2_vl, _llama4, _padded):
        yield from make(rng)
    yield from _siglip2(rng)


def ours(record):
    """The call of attnax that `record.options["call"]` names."""
    arrays = {name: jnp.asarray(array) for name, array in record.arrays.items()}
    return _CALLS[record.options["call"]](record.options, arrays)


def tolerance(record):
    """Of float32 sums in another order; what is counted or copied is equal."""
    call = record.options["call"]
    if call in ("image_size", "pack"):
        return 2.0**-149
    if call == "embed":
        # Of at most 60 products, whose magnitudes add up to 32 at most.
        return 2.0**-24 * 32
    # timm inverts the whole matrix in float32: some six roundings of it, its condition
    # (4 at most), and kernels that come out below 32.
    return 2.0**-24 * 6 * 4 * 32


def _normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def _record(name, source, call, options, arrays):
    return Record(name, source, {"call": call, **options}, arrays)


# Kernels for patches of another size.


def _resized(rng):
    import torch

    from .sources import file_of_timm

    resample = file_of_timm("layers.patch_embed").resample_patch_embed
    source = f"timm {importlib.metadata.version('timm')}, resample_patch_embed"
    for old, new in PAIRS:
        kernel = _normal(rng, WIDTH, CHANNELS, *old)
        for method, antialias in RESIZINGS:
            expected = resample(
                torch.tensor(kernel), list(new), method, antialias=antialias
            )
            options = {"layout": "OIHW", "old": old, "new": new}
            options |= {"method": method, "antialias": antialias}
            name = f"{method}, antialias={antialias}: {old} to {new}"
            arrays = {"kernel": kernel, "expected": expected.numpy()}
            yield _record(name, source, "resize", options, arrays)


def _resized_linear(rng):
    import torch

    from .sources import file_of_timm

    interpolator = file_of_timm("layers.patch_embed").PatchEmbedInterpolator
    by = "PatchEmbedInterpolator.resample_linear_weight"
    source = f"timm {importlib.metadata.version('timm')}, {by}"
    for channels_last, layout in ((True, "O(HWI)"), (False, "O(IHW)")):
        for old, new in PAIRS[:3]:
            linear = _normal(rng, WIDTH, CHANNELS * math.prod(old))
            module = interpolator(old, CHANNELS, WIDTH, channels_last=channels_last)
            expected = module.resample_linear_weight(torch.tensor(linear), new)
            options = {"layout": layout, "old": old, "new": new}
            options |= {"method": "bicubic", "antialias": True}
            arrays = {"kernel": linear, "expected": expected.numpy()}
            yield _record(
                f"{layout}: {old} to {new}", source, "resize", options, arrays
            )


def _resize(options, arrays):
    resized = F.resize_patch_kernel(
        arrays["kernel"],
        tuple(options["new"]),
        F.Resampling(options["method"], options["antialias"]),
        layout=options["layout"],
        old_patch_size=tuple(options["old"]),
    )
    return resized.weight


# Embeddings.


def _videos(rng):
    import torch
    import transformers
    from transformers.models.videomae.modeling_videomae import VideoMAEPatchEmbeddings
    from transformers.models.vivit.modeling_vivit import VivitTubeletEmbeddings

    video = _normal(rng, 2, 4, 6, 10, CHANNELS)
    pixels = torch.tensor(video).permute(0, 1, 4, 2, 3)
    config = types.SimpleNamespace(
        image_size=(6, 10), num_channels=CHANNELS, hidden_size=WIDTH, num_frames=4
    )
    config.tubelet_size, config.patch_size = 2, (3, 5)
    videomae = VideoMAEPatchEmbeddings(config)
    config.tubelet_size = (2, 3, 5)
    for module in (videomae, VivitTubeletEmbeddings(config)):
        cls = type(module).__name__
        with torch.no_grad():
            expected = module(pixels).numpy()
        arrays = {"image": video, "expected": expected}
        arrays["kernel"] = module.projection.weight.detach().numpy()
        arrays["bias"] = module.projection.bias.detach().numpy()
        options = {"layout": "OITHW", "patch": (2, 3, 5)}
        source = f"transformers {transformers.__version__}, {cls}"
        yield _record(f"tubelets: {cls}", source, "embed", options, arrays)


def _qwen2_vl(rng):
    """Patches come flattened by (channel, frame, row, column); an image is repeated."""
    import torch
    import transformers
    from transformers.models.qwen2_vl.modeling_qwen2_vl import PatchEmbed

    module = PatchEmbed(3, 2, CHANNELS, WIDTH)
    video = _normal(rng, 4, 6, 9, CHANNELS)
    still = np.repeat(video[:1], 2, axis=0)
    source = f"transformers {transformers.__version__}, qwen2_vl PatchEmbed"
    for name, frames in (("video", video), ("image, repeated", still)):
        # As its processor cuts them, without the merging of 2 x 2 patches.
        size = (len(frames) // 2, 2, 2, 3, 3, 3, CHANNELS)
        cut = frames.reshape(size).transpose(0, 2, 4, 6, 1, 3, 5).reshape(-1, 36)
        with torch.no_grad():
            expected = module(torch.tensor(np.ascontiguousarray(cut))).numpy()
        arrays = {"image": frames, "expected": expected}
        arrays["kernel"] = module.proj.weight.detach().numpy()
        options = {"layout": "OITHW", "patch": (2, 3, 3)}
        yield _record(f"qwen2_vl: {name}", source, "embed", options, arrays)


def _llama4(rng):
    import torch
    import transformers
    from transformers.models.llama4.modeling_llama4 import Llama4UnfoldConvolution

    config = types.SimpleNamespace(
        patch_size=(3, 5), num_channels=CHANNELS, hidden_size=WIDTH
    )
    module = Llama4UnfoldConvolution(config)
    image = _normal(rng, 2, 6, 15, CHANNELS)
    with torch.no_grad():
        expected = module(torch.tensor(image).permute(0, 3, 1, 2)).numpy()
    arrays = {"image": image, "expected": expected}
    arrays["kernel"] = module.linear.weight.detach().numpy()
    options = {"layout": "O(IHW)", "patch": (3, 5)}
    source = f"transformers {transformers.__version__}, Llama4UnfoldConvolution"
    yield _record("llama4: unfolded patches", source, "embed", options, arrays)


def _padded(rng):
    import torch

    from .sources import file_of_timm

    patch_embed = file_of_timm("layers.patch_embed").PatchEmbed
    module = patch_embed(None, (3, 5), CHANNELS, WIDTH, dynamic_img_pad=True)
    source = f"timm {importlib.metadata.version('timm')}, PatchEmbed(dynamic_img_pad)"
    for size in ((7, 11), (6, 13), (2, 4)):
        image = _normal(rng, 1, *size, CHANNELS)
        with torch.no_grad():
            expected = module(torch.tensor(image).permute(0, 3, 1, 2)).numpy()
        arrays = {"image": image, "expected": expected}
        arrays["kernel"] = module.proj.weight.detach().numpy()
        arrays["bias"] = module.proj.bias.detach().numpy()
        options = {"layout": "OIHW", "patch": (3, 5), "pad": True}
        yield _record(f"padded: {size}", source, "embed", options, arrays)


def _embed(options, arrays):
    patch, image = tuple(options["patch"]), arrays["image"]
    if options.get("pad"):
        image = F.pad_image(image, patch).image
    weight = F.patch_weight_from_kernel(arrays["kernel"], options["layout"], patch)
    params = F.PatchEmbeddingParams(weight=weight, bias=arrays.get("bias"))
    embedded = F.apply_patch_embedding(params, image, patch_size=patch)
    return embedded.reshape(arrays["expected"].shape)


# Batches of images of any size.


def _siglip2(rng):
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
        yield _record(name, by, "image_size", options, arrays)

    images = [_normal(rng, 3 * rows, 3 * columns, CHANNELS) for rows, columns in _GRIDS]
    rows = [
        pad(cut(torch.tensor(image).permute(2, 0, 1), 3), 9)[0].numpy()
        for image in images
    ]
    arrays = {f"image_{i}": image for i, image in enumerate(images)}
    arrays["expected"] = np.stack(rows)
    options = {"patch": 3, "max_patches": 9}
    yield _record("siglip2: packed patches", by, "pack", options, arrays)


_GRIDS = ((2, 4), (1, 1), (3, 3))


def _functions_of(package, path):
    """The functions of a file whose imports are not all installed."""
    root = importlib.util.find_spec(package).submodule_search_locations[0]
    tree = ast.parse((pathlib.Path(root) / path).read_text())
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    import torch

    names = {"torch": torch}
    exec(compile(tree, path, "exec"), names)
    return names


def _image_size(options, arrays):
    size_for = functools.partial(
        F.image_size_for_max_patches,
        patch_size=options["patch"],
        max_patches=options["max_patches"],
    )
    sizes = np.asarray(arrays["sizes"]).tolist()
    return np.array([size_for(tuple(size)) for size in sizes])


def _pack(options, arrays):
    images = [arrays[f"image_{i}"] for i in range(len(arrays) - 1)]
    return F.pack_patches(images, options["patch"], options["max_patches"]).patches


_CALLS = {
    "resize": _resize,
    "embed": _embed,
    "image_size": _image_size,
    "pack": _pack,
}
