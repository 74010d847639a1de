"""Patch embeddings of others: convolutions and linear layers, all without bias."""

import math
from typing import NamedTuple

import equinox as eqx
import jax

import attnax.functional as F

from .flax_param import with_param

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
        """The number of patches of one image or video."""
        sides = zip(self.size, self.patch, strict=True)
        return math.prod(pixels // side for pixels, side in sides)


def convolve(case, weight, image):
    kernel = weight.reshape(*case.patch, CHANNELS, case.width)
    axes = "HW" if len(case.patch) == 2 else "DHW"
    numbers = (f"N{axes}C", f"{axes}IO", f"N{axes}C")
    out = jax.lax.conv_general_dilated(
        image, kernel, case.patch, "VALID", dimension_numbers=numbers
    )
    return out.reshape(case.batch, -1, case.width)


def convolve_patches(weight, patches):
    """Embeds given patches by a convolution: every patch is an image."""
    batch, num_patches, rows = patches.shape
    side = math.isqrt(rows // CHANNELS)
    images = patches.reshape(-1, side, side, CHANNELS)
    case = Case("", len(images), (side, side), (side, side), weight.shape[1])
    return convolve(case, weight, images).reshape(batch, num_patches, -1)


def equinox_convolve(case, weight, image):
    sizes = {"use_bias": False, "key": jax.random.key(0)}
    sizes |= {"kernel_size": case.patch, "stride": case.patch}
    conv = eqx.filter_eval_shape(eqx.nn.Conv2d, CHANNELS, case.width, **sizes)
    kernel = F.patch_kernel_from_weight(weight, "OIHW", case.patch)
    conv = eqx.tree_at(lambda c: c.weight, conv, kernel)
    out = jax.vmap(conv)(image.transpose(0, 3, 1, 2))
    return out.reshape(case.batch, case.width, -1).swapaxes(1, 2)


def equinox_linear(weight, patches):
    sizes = {"use_bias": False, "key": jax.random.key(0)}
    linear = eqx.filter_eval_shape(eqx.nn.Linear, *weight.shape, **sizes)
    linear = eqx.tree_at(lambda layer: layer.weight, linear, weight.T)
    return jax.vmap(jax.vmap(linear))(patches)


def flax_linear(weight, patches):
    from flax import nnx

    options = {"use_bias": False, "param_dtype": weight.dtype}
    make = lambda rngs: nnx.Linear(*weight.shape, **options, rngs=rngs)
    return with_param(make, "kernel", weight)(patches)


def flax_convolve(case, weight, image):
    from flax import nnx

    options = {"strides": case.patch, "padding": "VALID", "use_bias": False}
    options |= {"param_dtype": weight.dtype}
    make = lambda rngs: nnx.Conv(CHANNELS, case.width, case.patch, **options, rngs=rngs)
    kernel = weight.reshape(*case.patch, CHANNELS, case.width)
    out = with_param(make, "kernel", kernel)(image)
    return out.reshape(case.batch, -1, case.width)


def transformers_embed(case):
    """Returns ViT's embedding of PyTorch's kernels and images, channels first."""
    import torch
    from transformers import ViTConfig
    from transformers.models.vit.modeling_vit import ViTPatchEmbeddings

    config = ViTConfig(
        hidden_size=case.width, image_size=case.size, patch_size=case.patch
    )
    with torch.device("meta"):
        embedding = ViTPatchEmbeddings(config)
    embedding.projection.bias = None

    def function(kernel, image):
        params = {"projection.weight": kernel}
        return torch.func.functional_call(embedding, params, (image,))

    return function
