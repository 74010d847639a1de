"""Patch embeddings, forward and backward, against the convolution: time and errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

import attnax.functional as F

from .. import cases
from ..bench_patch import embed, group, parts
from ..rivals.patch import Case, convolve
from ..timing.pullback import pullback
from .lines import error
from .sizes import Sizes

SIDE = 16
SAMPLED = 64  # patches whose embeddings are compared with float64


def timed(sizes: Sizes, dtype):
    """Yields timings against the one matrix product of that shape, then errors."""
    pixels = sizes.image_size
    model = f"patches of {SIDE}" if sizes.quick else "ViT-B/16"
    name = f"{model}, {sizes.images} images of {pixels}"
    size, patch = (pixels, pixels), (SIDE, SIDE)
    case = Case(name, sizes.images, size, patch, sizes.embed_dim)
    image = cases.normal(0, case.image_shape, dtype)
    weight = cases.normal(1, (case.rows, case.width), dtype) / case.rows**0.5
    patches = F.patchify(image, patch).reshape(-1, case.rows)
    out = cases.normal(2, (case.batch, case.num_patches, case.width), dtype)
    rivals = {"attnax": partial(embed, case), "convolution": partial(convolve, case)}
    meta = {"shape": image.shape}
    for part, programs in parts(rivals, weight, image, out, patches):
        yield group(f"patches {name}", part, programs, dtype, meta)
    yield from _errors(case, weight, image, patches, out)


def _errors(case, weight, image, patches, out):
    """Yields errors of full float32, which the contract names, and of JAX's default."""
    if weight.dtype != jnp.float32:
        yield from _errors_of(None, True, case, weight, image, patches, out)
        return
    highest = lax.Precision.HIGHEST
    yield from _errors_of(highest, True, case, weight, image, patches, out)
    # Accelerators may multiply float32 with fewer bits unless they are told not to.
    yield from _errors_of(None, False, case, weight, image, patches, out)


def _errors_of(precision, bounded, case, weight, image, patches, out):
    sampled = np.random.default_rng(0).choice(len(patches), min(SAMPLED, len(patches)))
    function = partial(embed, case, precision=precision)
    name = f"patches {case.name}" + ", highest precision" * (precision is not None)
    made = jax.jit(function)(weight, image).reshape(-1, case.width)[sampled]
    rows = np.asarray(patches[sampled], np.float64)
    wide = np.asarray(weight, np.float64)
    yield _against(f"{name}, forward", made, rows, wide, bounded)

    flat = out.reshape(-1, case.width)
    made = jax.jit(pullback(function, 1))(weight, image, out)
    made = F.patchify(made, case.patch).reshape(-1, case.rows)[sampled]
    rows = np.asarray(flat[sampled], np.float64)
    yield _against(f"{name}, input gradient", made, rows, wide.T, bounded)

    made = jax.jit(pullback(function))(weight, image, out)
    # All patches of eight features: the first and the last ones.
    features = np.r_[:4, case.rows - 4 : case.rows]
    columns = np.asarray(patches[:, features], np.float64)
    flat = np.asarray(flat, np.float64)
    made = made[features]
    yield _against(f"{name}, weight gradient", made, columns.T, flat, bounded)


def _against(case, made, left, right, bounded):
    """A product of float32 sums, or one unit of a narrow dtype, whichever is larger.

    The roundings of a sum of K terms add up as a random walk does: to eight times its
    deviation at most.
    """
    expected, terms = left @ right, np.abs(left) @ np.abs(right)
    errors = np.abs(np.asarray(made, np.float64) - expected)
    bounds = 8 * left.shape[1] ** 0.5 * 2.0**-24 * terms
    if made.dtype != jnp.float32:
        unit = float(jnp.finfo(made.dtype).eps)
        bounds = np.maximum(bounds, np.abs(expected) * unit)
    share = float((errors / bounds).max()) if bounded else None
    return error(case, made.dtype.name, float(errors.max()), share_of_bound=share)
