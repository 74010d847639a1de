"""DETR's sinusoids: rows and columns counted within the mask of a padded image."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from ..._checks import bool_array, check_axes, check_flags
from ..._public import public
from .frequencies import checked_position_scale
from .grid import grid_sinusoids


@public
def detr_sinusoids(
    mask: Bool[Array | np.ndarray, "*batch rows columns"]
    | Integer[Array | np.ndarray, "*batch rows columns"]
    | Sequence,
    d_model: SupportsIndex,
    *,
    base: SupportsFloat = 10_000.0,
    scale: SupportsFloat | None = 2 * math.pi,
    pixel_centers: bool | np.bool_ = False,
) -> Float[Array, "*batch rows columns {d_model}"]:
    """Sinusoids of rows and columns counted within the mask of a padded image.

    The row of a pixel is `y / (y_last + 1e-6) * scale`. Here `y` is the number of image
    pixels in its column from the top down to the pixel itself, and `y_last` is that of
    the last pixel of the column. The column of a pixel is counted likewise along its
    row. The first half of the features is of the row and the second half of the column,
    with sine and cosine side by side.

    Args:
        mask: True (or 1) at the image and False (or 0) at its padding. Compare an
            additive mask with 0 first. In a traced array of integers, all values but 0
            are the image.
        d_model: Number of features. A positive multiple of 4.
        base: Base of the frequencies. At least 1 and finite.
        scale: Position of the last row and of the last column, from 1.2e-38 to 3.4e38,
            the range of float32. `None` keeps the counts as they are, with exact
            phases.
        pixel_centers: Whether a pixel is placed half a count before its lower edge,
            `(y - 1 / 2) / (y_last + 1e-6) * scale`, as in Deformable DETR. True needs a
            `scale`.

    Returns:
        float32, `(*batch, rows, columns, d_model)`, within 2e-6 at the default scale
        (with `pixel_centers`, at pixels of the image). Features of padding are finite;
        attention is expected to mask them.

    Raises:
        ValueError: If `mask` is neither bool nor integer, known integers in it are
            other than 0 and 1, `d_model` is not a positive multiple of 4, `base` or
            `scale` is out of its range, or `pixel_centers` is True without a `scale`.

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
    check_axes("mask", mask, "rows", "columns")
    if scale is None and pixel_centers:
        raise ValueError(f"{pixel_centers=} must come with a scale.")
    y, x = (jnp.cumsum(mask, axis=axis, dtype=jnp.int32) for axis in (-2, -1))
    numerics = "exact" if scale is None else "float32"
    if scale is not None:
        scale = checked_position_scale("scale", scale, numerics)
        y, x = (count.astype(jnp.float32) for count in (y, x))
        back = 0.5 if pixel_centers else 0.0
        y = (y - back) / (y[..., -1:, :] + 1e-6)
        x = (x - back) / (x[..., -1:] + 1e-6)
    return grid_sinusoids(
        jnp.stack([y, x], axis=-1),
        d_model,
        base=base,
        position_scale=1.0 if scale is None else scale,
        layout="interleaved",
        numerics=numerics,
    )
