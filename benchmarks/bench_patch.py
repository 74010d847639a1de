"""How far from its one matrix product is a patch embedding, and its gradients?"""

import functools

import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from .rivals.installed import available
from .rivals.patch import (
    CHANNELS,
    Case,
    convolve,
    convolve_patches,
    equinox_convolve,
    equinox_linear,
    flax_convolve,
    flax_linear,
    transformers_embed,
)
from .timing.harness import Group
from .timing.programs import Program, TorchProgram
from .timing.pullback import pullback

CASES = (
    Case("ViT-B/16, 8 images of 224", 8, (224, 224), (16, 16), 768),
    Case("VideoMAE-B, 2 x 16 frames of 224", 2, (16, 224, 224), (2, 16, 16), 768),
    Case("Qwen2-VL, 16 frames of 224", 1, (16, 224, 224), (2, 14, 14), 1280),
)
QUICK = (
    Case("1 image of 32", 1, (32, 32), (16, 16), 768),
    Case("2 frames of 32", 1, (2, 32, 32), (2, 16, 16), 768),
)


def product(patches, weight):
    """The matrix product alone, rounded to the operands' dtype."""
    wide = jnp.einsum("np,pd->nd", patches, weight, preferred_element_type=jnp.float32)
    return wide.astype(patches.dtype)


def embed(case, weight, image, precision=None):
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    return F.apply_patch_embedding(
        params, image, patch_size=case.patch, precision=precision
    )


def project(weight, patches):
    """The patch embedding, of patches that are cut already."""
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    return F.apply_patch_projection(params, patches)


def parts(rivals, weight, inputs, out, patches):
    """Limit and rivals of the forward pass and of both gradients."""
    flat = out.reshape(-1, out.shape[-1])
    limits = {
        "forward": Program(product, (patches, weight)),
        "weight gradient": Program(lambda p, g: product(p.T, g), (patches, flat)),
        "input gradient": Program(lambda g, w: g @ w.T, (flat, weight)),
    }
    skipped = []
    if inputs.ndim == 5 and jax.default_backend() == "cpu":  # seconds for each call
        skipped = ["convolution", "flax.nnx"]
    for part, limit in limits.items():
        programs = {"limit": limit}
        for name, function in rivals.items():
            if part == "forward":
                programs[name] = Program(function, (weight, inputs))
            elif part == "weight gradient" or name not in skipped:
                argument = 0 if part == "weight gradient" else 1
                args = (weight, inputs, out)
                programs[name] = Program(pullback(function, argument), args)
        yield part, programs


def transformers_programs(case, weight, image, out):
    """Returns programs of each part; ViT's is one convolution of images."""
    function = transformers_embed(case)
    kernel = F.patch_kernel_from_weight(weight, "OIHW", case.patch)
    args = (kernel, image.transpose(0, 3, 1, 2))
    eager, compiled = "transformers, eager", "transformers, compiled"
    backward = functools.partial(TorchProgram, function, args, cotangent=out)
    return {
        "forward": {
            eager: TorchProgram(function, args),
            compiled: TorchProgram(function, args, compiled=True),
        },
        "weight gradient": {eager: backward(gradient_of=0)},
        "input gradient": {eager: backward(gradient_of=1)},
    }


def groups(quick):
    for case in QUICK if quick else CASES:
        for dtype in (jnp.float32, jnp.bfloat16):
            image = cases.normal(0, case.image_shape, dtype)
            weight = cases.normal(1, (case.rows, case.width), dtype)
            patches = F.patchify(image, case.patch).reshape(-1, case.rows)
            out = cases.normal(2, (case.batch, case.num_patches, case.width), dtype)
            rivals = {"attnax": embed, "convolution": convolve}
            of_images = len(case.patch) == 2
            if of_images:
                rivals["equinox.nn"] = equinox_convolve
            if available("flax.nnx"):
                rivals["flax.nnx"] = flax_convolve
            rivals = {n: functools.partial(f, case) for n, f in rivals.items()}
            theirs = {}
            if of_images and available("transformers"):
                theirs = transformers_programs(case, weight, image, out)
            name, meta = f"patches {case.name}", {"shape": image.shape}
            for part, programs in parts(rivals, weight, image, out, patches):
                programs |= theirs.get(part, {})
                yield group(name, part, programs, dtype, meta)
    yield from packed_groups(quick)


def packed_groups(quick):
    """Patches that are cut already, with a third of padding."""
    most, side, width = (64, 4, 64) if quick else (256, 16, 768)
    model, rows = "" if quick else "SigLIP-2, ", side * side * CHANNELS
    rivals = {"attnax": project, "equinox.nn": equinox_linear}
    if available("flax.nnx"):
        rivals["flax.nnx"] = flax_linear
    rivals["convolution of each patch"] = convolve_patches
    for dtype in (jnp.float32, jnp.bfloat16):
        lengths = jnp.asarray([most, most // 2, most // 3, most])
        mask = jnp.arange(most)[None] < lengths[:, None]
        patches = cases.normal(0, (4, most, rows), dtype)
        patches = jnp.where(mask[..., None], patches, jnp.zeros((), dtype))
        weight = cases.normal(1, (rows, width), dtype)
        out = cases.normal(2, (4, most, width), dtype)
        flat, meta = patches.reshape(-1, rows), {"shape": patches.shape}
        name = f"patches {model}packed, 4 images of {most} patches"
        for part, programs in parts(rivals, weight, patches, out, flat):
            yield group(name, part, programs, dtype, meta)


def group(name, part, programs, dtype, meta):
    dtype = jnp.dtype(dtype).name
    of_images = part == "input gradient" and "convolution" in programs
    return Group(
        f"{name}, {dtype}, {part}",
        "matrix product",
        programs,
        1.3,
        meta={**meta, "dtype": dtype},
        margins={"convolution": 4.0} if of_images else {},
    )
