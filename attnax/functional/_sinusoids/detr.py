"""DETR's sinusoids: rows and columns counted within the mask of a padded image."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from ..._checks import bool_array, check_flags
from ..._public import public
from .grid import make_grid_sinusoids


@public
def detr_sinusoids(
    mask: Bool[Array | np.ndarray, "*batch rows columns"]
    | Integer[Array | np.ndarray, "*batch rows columns"]
    | Sequence,
    d_model: int,
    *,
    base: float = 10_000.0,
    scale: float | None = 2 * math.pi,
    pixel_centers: bool = False,
) -> Float[Array, "*batch rows columns {d_model}"]:
    """Sinusoids of rows and columns counted within the mask of a padded image.

    The row of a pixel is `y / (y_last + 1e-6) * scale`, where `y` counts the image's
    pixels down to it in its column, and its column likewise. Rows have the first half
    of the features, columns the second, with sine and cosine side by side.

    Args:
        mask: True (or 1) at the image, False at its padding; an additive mask is to be
            compared first. Of a traced array of integers, all but 0 are the image.
        d_model: Width. A positive multiple of 4.
        base: Base of the frequencies. At least 1 and a finite float64.
        scale: What the last row and the last column become. From 1.2e-38 to 3.4e38, the
            range of float32. `None` leaves the counts as they are, and their phases
            exact.
        pixel_centers: True places a pixel half a count before its lower edge,
            `(y - 1 / 2) / (y_last + 1e-6) * scale`, as Deformable DETR does. Needs a
            `scale`.

    Returns:
        float32, `(*batch, rows, columns, d_model)`, within 2e-6 at the default scale
        (with `pixel_centers`, at the image). Padding gets finite features, which
        attention is expected to mask.

    Raises:
        ValueError: If `mask` is neither bool nor integer, known integers in it are
            others than 0 and 1, `d_model` is no positive multiple of 4, `base` or
            `scale` is out of its range, or there are pixel centers without a `scale`.

    Example:
        >>> mask = jnp.ones((2, 3), bool)
        >>> detr_sinusoids(mask, 8).shape
        (2, 3, 8)

    Reference:
        Carion et al., End-to-End Object Detection with Transformers, 2020,
        https://arxiv.org/abs/2005.12872; modeling_detr.py of transformers 5.23.0,
        `DetrSinePositionEmbedding` with `normalize`, and `pixel_centers` in
        modeling_deformable_detr.py.
    """
    check_flags(pixel_centers=pixel_centers)
    mask = jnp.asarray(bool_array("mask", mask))
    if mask.ndim < 2:
        raise ValueError(f"{mask.shape=} must be (..., rows, columns).")
    if pixel_centers and scale is None:
        raise ValueError(f"{pixel_centers=} must come with a scale.")
    counts = [jnp.cumsum(mask, axis=axis, dtype=jnp.int32) for axis in (-2, -1)]
    if scale is not None:
        y, x = (count.astype(jnp.float32) for count in counts)
        back = 0.5 if pixel_centers else 0.0
        counts = [
            (y - back) / (y[..., -1:, :] + 1e-6),
            (x - back) / (x[..., -1:] + 1e-6),
        ]
    return make_grid_sinusoids(
        jnp.stack(counts, axis=-1),
        d_model,
        base=base,
        position_scale=1.0 if scale is None else scale,
        layout="interleaved",
        numerics="exact" if scale is None else "float32",
        scale_name="scale",
    )
