"""How far from its one matrix product is a patch embedding, and its gradients?"""

import equinox as eqx
import jax
import jax.numpy as jnp

import attnax.functional as F

from . import cases
from ._harness import Group, Program

PATCH, CHANNELS, WIDTH = 16, 3, 768  # ViT-B/16
ROWS = PATCH * PATCH * CHANNELS


def product(patches, weight):
    """The matrix product alone, rounded to the operands' dtype."""
    wide = jnp.einsum("np,pd->nd", patches, weight, preferred_element_type=jnp.float32)
    return wide.astype(patches.dtype)


def embed(weight, image):
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    return F.apply_patch_embedding(params, image, patch_size=PATCH)


def convolve(weight, image):
    kernel = weight.reshape(PATCH, PATCH, CHANNELS, WIDTH)
    numbers = ("NHWC", "HWIO", "NHWC")
    strides = (PATCH, PATCH)
    out = jax.lax.conv_general_dilated(
        image, kernel, strides, "VALID", dimension_numbers=numbers
    )
    return out.reshape(image.shape[0], -1, WIDTH)


def equinox_convolve(weight, image):
    sizes = {"use_bias": False, "key": jax.random.key(0)}
    conv = eqx.filter_eval_shape(eqx.nn.Conv2d, CHANNELS, WIDTH, PATCH, PATCH, **sizes)
    kernel = F.patch_kernel_from_weight(weight, PATCH, "OIHW")
    conv = eqx.tree_at(lambda c: c.weight, conv, kernel)
    out = jax.vmap(conv)(image.transpose(0, 3, 1, 2))
    return out.reshape(image.shape[0], WIDTH, -1).swapaxes(1, 2)


def gradient(function, argument):
    """The pullback with respect to the weight (0) or the image (1) alone."""

    def backward(weight, image, cotangent):
        args = [weight, image]
        partial = lambda t: function(*args[:argument], t, *args[argument + 1 :])
        return jax.vjp(partial, args[argument])[1](cotangent)

    return backward


def groups(quick):
    batch, side = (1, 32) if quick else (8, 224)
    for dtype in (jnp.float32, jnp.bfloat16):
        name = jnp.dtype(dtype).name
        image = cases.normal(0, (batch, side, side, CHANNELS), dtype)
        weight = cases.normal(1, (ROWS, WIDTH), dtype)
        patches = F.patchify(image, PATCH).reshape(-1, ROWS)
        out = cases.normal(2, (batch, (side // PATCH) ** 2, WIDTH), dtype)
        flat = out.reshape(-1, WIDTH)
        both = {"attnax": embed, "convolution": convolve}
        limits = (
            Program(product, (patches, weight)),
            Program(lambda p, g: product(p.T, g), (patches, flat)),
            Program(lambda g, w: product(g, w.T), (flat, weight)),
        )
        for part, limit in zip(
            ("forward", "weight gradient", "input gradient"), limits, strict=True
        ):
            if part == "forward":
                rivals = {n: Program(f, (weight, image)) for n, f in both.items()}
                if dtype == jnp.float32:
                    rivals["equinox.nn"] = Program(equinox_convolve, (weight, image))
            else:
                wrt = 0 if part == "weight gradient" else 1
                rivals = {
                    n: Program(gradient(f, wrt), (weight, image, out))
                    for n, f in both.items()
                }
            yield Group(
                f"patches ViT-B/16, {batch} images of {side}, {name}, {part}",
                "matrix product",
                {"limit": limit, **rivals},
                1.3,
                {"shape": image.shape, "dtype": name},
            )
