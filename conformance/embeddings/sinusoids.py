"""Sinusoids of transformers, diffusers, timm and mlx, of one axis and of several."""

import jax.numpy as jnp

import attnax.functional as F
from attnax import interop

from .sinusoid_grids import aimv2_grids, diffusers_grids, timm_grids, transformers_grids
from .sinusoid_masks import detr_masks, sam_coordinates
from .sinusoid_sequences import (
    diffusers_sequences,
    mlx_sequences,
    transformers_sequences,
)


def records():
    yield from transformers_sequences()
    yield from diffusers_sequences()
    yield from mlx_sequences()
    yield from transformers_grids()
    yield from aimv2_grids()
    yield from timm_grids()
    yield from diffusers_grids()
    yield from detr_masks()
    yield from sam_coordinates()


def ours(record):
    """The result of attnax for the same inputs."""
    options, arrays = record.options, record.arrays
    settings = options["settings"]
    if options["function"] == "detr_sinusoids":
        features = F.detr_sinusoids(arrays["mask"], options["d_model"], **settings)
        return features[arrays["mask"]] if options["at_mask"] else features
    if options["function"] == "gaussian_fourier_features":
        return F.gaussian_fourier_features(arrays["coordinates"], arrays["matrix"])
    numerics = options.get("numerics", "exact")
    make, options_of = {
        "sinusoids": (F.sinusoids, interop.sinusoid_options),
        "grid_sinusoids": (F.grid_sinusoids, interop.grid_sinusoid_options),
    }[options["function"]]
    return make(
        jnp.asarray(arrays["positions"]),
        options["d_model"],
        **options_of(options["family"], **settings),
        numerics=numerics,
    )


def tolerance(record):
    """The float32 rounding of their angles, and of results of size at most 1.

    A frequency `exp(-e)` with `e` a rounded product is off by `2 e + 2` halves of a
    unit, its product with a position by one more: `(2 e + 3) exp(-e)` is at most 3.
    Theirs in float64 differ by our own error and one rounding only.
    """
    size = 2.0**-22
    if record.options.get("float64"):
        return size
    return size + 4 * 2.0**-24 * record.options["largest_angle"]
