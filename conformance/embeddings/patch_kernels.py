"""Patches, their projections and kernels for other sizes, by other people's code."""

import importlib.metadata
import math
import types

import jax.numpy as jnp
import numpy as np

import attnax.functional as F

from . import patch_batches
from .patch_batches import CHANNELS, call_record, normal

WIDTH = 3
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
    yield from patch_batches.siglip2(rng)


def ours(record):
    """The call of attnax that `record.options["call"]` names."""
    arrays = {name: jnp.asarray(array) for name, array in record.arrays.items()}
    return _CALLS[record.options["call"]](record.options, arrays)


def tolerance(record):
    """The error of float32 sums in another order; counts and copies are equal."""
    call = record.options["call"]
    if call in ("image_size", "pack"):
        return 2.0**-149
    if call == "embed":
        # A sum has at most 60 products, whose magnitudes add up to 32 at most.
        return 2.0**-24 * 32
    # timm inverts the whole matrix in float32: some six roundings of it, its condition
    # (4 at most), and kernels that come out below 32.
    return 2.0**-24 * 6 * 4 * 32


# Kernels for patches of another size.


def _resized(rng):
    import torch

    from .sources import file_of_timm

    resample = file_of_timm("layers.patch_embed").resample_patch_embed
    source = f"timm {importlib.metadata.version('timm')}, resample_patch_embed"
    for old, new in PAIRS:
        kernel = normal(rng, WIDTH, CHANNELS, *old)
        for method, antialias in RESIZINGS:
            expected = resample(
                torch.tensor(kernel), list(new), method, antialias=antialias
            )
            options = {"layout": "OIHW", "old": old, "new": new}
            options |= {"method": method, "antialias": antialias}
            name = f"{method}, antialias={antialias}: {old} to {new}"
            arrays = {"kernel": kernel, "expected": expected.numpy()}
            yield call_record(name, source, "resize", options, arrays)


def _resized_linear(rng):
    import torch

    from .sources import file_of_timm

    interpolator = file_of_timm("layers.patch_embed").PatchEmbedInterpolator
    by = "PatchEmbedInterpolator.resample_linear_weight"
    source = f"timm {importlib.metadata.version('timm')}, {by}"
    for channels_last, layout in ((True, "O(HWI)"), (False, "O(IHW)")):
        for old, new in PAIRS[:3]:
            linear = normal(rng, WIDTH, CHANNELS * math.prod(old))
            module = interpolator(old, CHANNELS, WIDTH, channels_last=channels_last)
            expected = module.resample_linear_weight(torch.tensor(linear), new)
            options = {"layout": layout, "old": old, "new": new}
            options |= {"method": "bicubic", "antialias": True}
            arrays = {"kernel": linear, "expected": expected.numpy()}
            yield call_record(
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

    video = normal(rng, 2, 4, 6, 10, CHANNELS)
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
        yield call_record(f"tubelets: {cls}", source, "embed", options, arrays)


def _qwen2_vl(rng):
    """Patches come flattened by (channel, frame, row, column); an image is repeated."""
    import torch
    import transformers
    from transformers.models.qwen2_vl.modeling_qwen2_vl import PatchEmbed

    module = PatchEmbed(3, 2, CHANNELS, WIDTH)
    video = normal(rng, 4, 6, 9, CHANNELS)
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
        yield call_record(f"qwen2_vl: {name}", source, "embed", options, arrays)


def _llama4(rng):
    import torch
    import transformers
    from transformers.models.llama4.modeling_llama4 import Llama4UnfoldConvolution

    config = types.SimpleNamespace(
        patch_size=(3, 5), num_channels=CHANNELS, hidden_size=WIDTH
    )
    module = Llama4UnfoldConvolution(config)
    image = normal(rng, 2, 6, 15, CHANNELS)
    with torch.no_grad():
        expected = module(torch.tensor(image).permute(0, 3, 1, 2)).numpy()
    arrays = {"image": image, "expected": expected}
    arrays["kernel"] = module.linear.weight.detach().numpy()
    options = {"layout": "O(IHW)", "patch": (3, 5)}
    source = f"transformers {transformers.__version__}, Llama4UnfoldConvolution"
    yield call_record("llama4: unfolded patches", source, "embed", options, arrays)


def _padded(rng):
    import torch

    from .sources import file_of_timm

    patch_embed = file_of_timm("layers.patch_embed").PatchEmbed
    module = patch_embed(None, (3, 5), CHANNELS, WIDTH, dynamic_img_pad=True)
    source = f"timm {importlib.metadata.version('timm')}, PatchEmbed(dynamic_img_pad)"
    for size in ((7, 11), (6, 13), (2, 4)):
        image = normal(rng, 1, *size, CHANNELS)
        with torch.no_grad():
            expected = module(torch.tensor(image).permute(0, 3, 1, 2)).numpy()
        arrays = {"image": image, "expected": expected}
        arrays["kernel"] = module.proj.weight.detach().numpy()
        arrays["bias"] = module.proj.bias.detach().numpy()
        options = {"layout": "OIHW", "patch": (3, 5), "pad": True}
        yield call_record(f"padded: {size}", source, "embed", options, arrays)


def _embed(options, arrays):
    patch, image = tuple(options["patch"]), arrays["image"]
    if options.get("pad"):
        image = F.pad_image(image, patch).image
    weight = F.patch_weight_from_kernel(arrays["kernel"], options["layout"], patch)
    params = F.PatchEmbeddingParams(weight=weight, bias=arrays.get("bias"))
    embedded = F.apply_patch_embedding(params, image, patch_size=patch)
    return embedded.reshape(arrays["expected"].shape)


_CALLS = {
    "resize": _resize,
    "embed": _embed,
    "image_size": patch_batches.image_size,
    "pack": patch_batches.pack,
}
