"""How far from its one matrix product is a patch embedding, and its gradients?"""

import functools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from ._harness import Group
from ._programs import Program

CHANNELS = 3


class Case(NamedTuple):
    """Images or videos `(batch, *size, channels)` cut into patches."""

    name: str
    batch: int
    size: tuple[int, ...]
    patch: tuple[int, ...]
    width: int

    @property
    def rows(self):
        """Features of a patch."""
        return math.prod(self.patch) * CHANNELS

    @property
    def image_shape(self):
        """Channels last."""
        return (self.batch, *self.size, CHANNELS)

    @property
    def num_patches(self):
        """Of one image or video."""
        sides = zip(self.size, self.patch, strict=True)
        return math.prod(pixels // side for pixels, side in sides)


CASES = (
    Case("ViT-B/16, 8 images of 224", 8, (224, 224), (16, 16), 768),
    Case("VideoMAE-B, 2 x 16 frames of 224", 2, (16, 224, 224), (2, 16, 16), 768),
    Case("Qwen2-VL, 16 frames of 224", 1, (16, 224, 224), (2, 14, 14), 1280),
)
QUICK = (
    Case("ViT-B/16, 1 images of 32", 1, (32, 32), (16, 16), 768),
    Case("VideoMAE-B, 2 frames of 32", 1, (2, 32, 32), (2, 16, 16), 768),
)


def product(patches, weight):
    """The matrix product alone, rounded to the operands' dtype."""
    wide = jnp.einsum("np,pd->nd", patches, weight, preferred_element_type=jnp.float32)
    return wide.astype(patches.dtype)


def embed(case, weight, image):
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    return F.apply_patch_embedding(params, image, patch_size=case.patch)


def convolve(case, weight, image):
    kernel = weight.reshape(*case.patch, CHANNELS, case.width)
    axes = "HW" if len(case.patch) == 2 else "DHW"
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    out = jax.lax.conv_general_dilated(
        image, kernel, case.patch, "VALID", dimension_numbers=numbers
    )
    return out.reshape(case.batch, -1, case.width)


def equinox_convolve(case, weight, image):
    sizes = {"use_bias": False, "key": jax.random.key(0)}
    sizes |= {"kernel_size": case.patch, "stride": case.patch}
    conv = eqx.filter_eval_shape(eqx.nn.Conv2d, CHANNELS, case.width, **sizes)
    kernel = F.patch_kernel_from_weight(weight, case.patch, "OIHW")
    conv = eqx.tree_at(lambda c: c.weight, conv, kernel)
    out = jax.vmap(conv)(image.transpose(0, 3, 1, 2))
    return out.reshape(case.batch, case.width, -1).swapaxes(1, 2)


def project(weight, patches):
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    return F.apply_patch_projection(params, patches)


def convolve_patches(weight, patches):
    """As a convolution does it: every patch is an image."""
    batch, num_patches, rows = patches.shape
    side = math.isqrt(rows // CHANNELS)
    images = patches.reshape(-1, side, side, CHANNELS)
    case = Case("", len(images), (side, side), (side, side), weight.shape[1])
    return convolve(case, weight, images).reshape(batch, num_patches, -1)


def gradient(function, argument):
    """The pullback with respect to the weight (0) or the image (1) alone."""

    def backward(weight, image, cotangent):
        args = [weight, image]
        partial = lambda t: function(*args[:argument], t, *args[argument + 1 :])
        return jax.vjp(partial, args[argument])[1](cotangent)

    return backward


def parts(rivals, weight, inputs, out, patches):
    """Limit and rivals of the forward pass and of both gradients."""
    flat = out.reshape(-1, out.shape[-1])
    limits = {
        "forward": Program(product, (patches, weight)),
        "weight gradient": Program(lambda p, g: product(p.T, g), (patches, flat)),
        "input gradient": Program(lambda g, w: product(g, w.T), (flat, weight)),
    }
    skipped = {"weight gradient": ["equinox.nn"], "input gradient": ["equinox.nn"]}
    if inputs.ndim == 5:  # on CPU, seconds for each call
        skipped["input gradient"].append("convolution")
    for part, limit in limits.items():
        programs = {"limit": limit}
        for name, function in rivals.items():
            if part == "forward":
                programs[name] = Program(function, (weight, inputs))
            elif name not in skipped[part]:
                wrt = 0 if part == "weight gradient" else 1
                args = (weight, inputs, out)
                programs[name] = Program(gradient(function, wrt), args)
        yield part, programs


def groups(quick):
    for case in QUICK if quick else CASES:
        for dtype in (jnp.float32, jnp.bfloat16):
            image = cases.normal(0, case.image_shape, dtype)
            weight = cases.normal(1, (case.rows, case.width), dtype)
            patches = F.patchify(image, case.patch).reshape(-1, case.rows)
            out = cases.normal(2, (case.batch, case.num_patches, case.width), dtype)
            rivals = {"attnax": embed, "convolution": convolve}
            if dtype == jnp.float32 and len(case.patch) == 2:
                rivals["equinox.nn"] = equinox_convolve
            rivals = {n: functools.partial(f, case) for n, f in rivals.items()}
            name, meta = f"patches {case.name}", {"shape": image.shape}
            for part, programs in parts(rivals, weight, image, out, patches):
                yield group(name, part, programs, dtype, meta)
    yield from packed_groups(quick)


def packed_groups(quick):
    """Patches that are cut already, with a third of padding."""
    most, side, width = (64, 4, 64) if quick else (256, 16, 768)
    rows = side * side * CHANNELS
    rivals = {"attnax": project, "convolution": convolve_patches}
    for dtype in (jnp.float32, jnp.bfloat16):
        mask = jnp.arange(most) < jnp.asarray(
            [[most], [most // 2], [most // 3], [most]]
        )
        patches = cases.normal(0, (4, most, rows), dtype)
        patches = jnp.where(mask[..., None], patches, jnp.zeros((), dtype))
        weight = cases.normal(1, (rows, width), dtype)
        out = cases.normal(2, (4, most, width), dtype)
        flat, meta = patches.reshape(-1, rows), {"shape": patches.shape}
        name = f"patches SigLIP-2, packed, 4 images of {most} patches"
        for part, programs in parts(rivals, weight, patches, out, flat):
            yield group(name, part, programs, dtype, meta)


def group(name, part, programs, dtype, meta):
    dtype = jnp.dtype(dtype).name
    meta = {**meta, "dtype": dtype}
    return Group(f"{name}, {dtype}, {part}", "matrix product", programs, 1.3, meta)
