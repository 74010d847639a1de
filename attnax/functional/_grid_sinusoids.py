"""Sinusoids of several axes: images and videos."""

import math
import operator
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer, Real

from .._bounds import nan_where_invalid
from ._rope_cos_sin import make_cos_sin
from ._sinusoids import (
    FRACTIONAL,
    arrange,
    check_layout,
    check_numerics,
    checked_positions,
    geometric_inv_freq,
)


def grid_sinusoids(
    coordinates: Real[Array | np.ndarray, "*batch num_patches num_axes"],
    d_model: int,
    *,
    axis_order: Sequence[int] | None = None,
    axis_shares: Sequence[int] | None = None,
    base: float = 10_000.0,
    frequency_shift: float = 0.0,
    position_scale: float | Sequence[float] = 1.0,
    layout: str = "sin_cos",
    per_axis: bool = True,
    num_prefix_tokens: int = 0,
    numerics: str = "exact",
) -> Float[Array, "*batch num_tokens {d_model}"]:
    """Sinusoids of each coordinate of a patch, one block of features after another.

    An axis of width `w` has the frequencies `base ** (-k / (w / 2 - frequency_shift))`,
    times its `position_scale`, as `sinusoids` has. `interop.grid_sinusoid_options` has
    the options of released models by name.

    Args:
        coordinates: Of each patch; `positions_from_grid` makes those of a grid, row by
            row. Integers unless `numerics` is `"float32"`.
        d_model: Width, which the axes share.
        axis_order: The axis of coordinates behind each block of features. `None` is
            `(0, 1, ...)`: of an image, rows first. Other released models put columns
            first, `(1, 0)`, and no square grid shows the difference in its shape.
        axis_shares: Parts of the width that each axis of coordinates gets, every one
            even. `None` is equal parts.
        base: Base of the frequencies. At least 1 and a finite float64.
        frequency_shift: With 0 the last frequency is one step short of `1 / base`;
            with 1 it is `1 / base`. Below half the width of every axis. A single
            frequency is 1 whatever the shift.
        position_scale: Multiplies the frequencies, in float64: a number, or one for
            each axis of coordinates, in the range that `sinusoids` has for it. It keeps
            integer coordinates exact where a model divides them: for one trained on
            16 x 16 patches and run on `rows` x `columns`, `(16 / rows, 16 / columns)`.
        layout: Within a block, `"sin_cos"` (all sines, then all cosines), `"cos_sin"`
            or `"interleaved"`.
        per_axis: False makes one block of all axes, with the sines of every axis before
            the first cosine.
        num_prefix_tokens: Rows of zeros before the patches, for class tokens.
        numerics: `"exact"`, or `"float32"` for fractional coordinates: a float32
            product that differentiates, whose error is 2**-23 of the angle.

    Returns:
        float32, `(*batch, num_prefix_tokens + num_patches, d_model)`. A patch with a
        traced coordinate outside int32 gives a row of NaN.

    Raises:
        ValueError: If `d_model` does not divide into even shares, `axis_order` does not
            name every axis once, an option is unknown or out of its range,
            `coordinates` are neither integers nor, for `"float32"`, real floats, or a
            known integer lies outside int32.

    Example:
        >>> grid = positions_from_grid((2, 3))
        >>> grid_sinusoids(grid, 8, axis_order=(1, 0), num_prefix_tokens=1).shape
        (7, 8)

    Reference:
        Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers,
        2021, section 3, https://arxiv.org/abs/2104.02057; the options are those of
        released code, named in `interop.grid_sinusoid_options`.
    """
    return _make_grid_sinusoids(
        "grid_sinusoids",
        coordinates,
        d_model,
        axis_order=axis_order,
        axis_shares=axis_shares,
        base=base,
        frequency_shift=frequency_shift,
        position_scale=position_scale,
        layout=layout,
        per_axis=per_axis,
        num_prefix_tokens=num_prefix_tokens,
        numerics=numerics,
    )


def detr_sinusoids(
    mask: Bool[Array | np.ndarray, "*batch rows columns"]
    | Integer[Array | np.ndarray, "*batch rows columns"],
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
        mask: True (or non-zero) at the image, False at its padding.
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
        ValueError: If `mask` is neither boolean nor integer, `d_model` is no positive
            multiple of 4, `base` or `scale` is out of its range, or there are pixel
            centers without a `scale`.

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
    name = "detr_sinusoids"
    if mask.ndim < 2:
        raise ValueError(f"{name}: {mask.shape=} must be (..., rows, columns).")
    # Of floats, additive masks would be read inside out.
    if not any(jnp.issubdtype(mask.dtype, t) for t in (jnp.bool_, jnp.integer)):
        raise ValueError(
            f"{name}: {mask.dtype=!s} must be boolean or integer; compare an additive "
            "mask with 0."
        )
    if pixel_centers and scale is None:
        raise ValueError(f"{name}: {pixel_centers=} must come with a scale.")
    # To bool before JAX takes it: a 64-bit value may wrap to 0 there.
    mask = jnp.asarray(mask.astype(bool))
    counts = [jnp.cumsum(mask, axis=axis, dtype=jnp.int32) for axis in (-2, -1)]
    if scale is not None:
        y, x = (count.astype(jnp.float32) for count in counts)
        back = 0.5 if pixel_centers else 0.0
        counts = [
            (y - back) / (y[..., -1:, :] + 1e-6),
            (x - back) / (x[..., -1:] + 1e-6),
        ]
    return _make_grid_sinusoids(
        name,
        jnp.stack(counts, axis=-1),
        d_model,
        base=base,
        position_scale=1.0 if scale is None else scale,
        layout="interleaved",
        numerics="exact" if scale is None else "float32",
        scale_name="scale",
    )


def _make_grid_sinusoids(
    function,
    coordinates,
    d_model,
    *,
    axis_order=None,
    axis_shares=None,
    base,
    frequency_shift=0.0,
    position_scale: float | Sequence[float] = 1.0,
    layout="sin_cos",
    per_axis=True,
    num_prefix_tokens=0,
    numerics="exact",
    scale_name="position_scale",
):
    if coordinates.ndim < 2 or coordinates.shape[-1] == 0:
        raise ValueError(
            f"{function}: {coordinates.shape=} must be (..., num_patches, num_axes)."
        )
    num_axes = coordinates.shape[-1]
    check_layout(function, layout)
    if num_prefix_tokens < 0:
        raise ValueError(f"{function}: {num_prefix_tokens=} must not be negative.")
    order = _axis_order(function, axis_order, num_axes)
    pairs = _pairs_of_axes(function, d_model, axis_shares, num_axes)
    scales = _scales_of_axes(function, position_scale, num_axes)
    check_numerics(function, numerics)
    inv_freq = [
        geometric_inv_freq(
            function,
            pairs[axis],
            base,
            frequency_shift,
            scales[axis],
            numerics,
            scale_name,
        )
        for axis in order
    ]
    blocks = [block.size for block in inv_freq]
    coordinates, valid = checked_positions(
        function, "coordinates", coordinates, numerics, FRACTIONAL
    )
    cos, sin = make_cos_sin(
        function,
        jnp.asarray(coordinates),
        np.concatenate(inv_freq),
        axis_of_pair=np.repeat(order, blocks),
        num_axes=num_axes,
        numerics=numerics,
        argument="coordinates",
    )
    rows = _arrange_blocks(sin, cos, layout, blocks if per_axis else [d_model // 2])
    rows = nan_where_invalid(None if valid is None else valid.all(-1), rows)
    if num_prefix_tokens == 0:
        return rows
    return jnp.pad(rows, [(0, 0)] * (rows.ndim - 2) + [(num_prefix_tokens, 0), (0, 0)])


def _arrange_blocks(sin, cos, layout, blocks):
    """`arrange` for each of the blocks of so many pairs."""
    ends = np.cumsum(blocks)[:-1]
    parts = zip(*(jnp.split(t, ends, axis=-1) for t in (sin, cos)), strict=True)
    rows = [arrange(s, c, layout, 2 * s.shape[-1]) for s, c in parts]
    return jnp.concatenate(rows, axis=-1)


def _axis_order(function, axis_order, num_axes):
    if axis_order is None:
        return tuple(range(num_axes))
    order = tuple(operator.index(axis) for axis in axis_order)
    if sorted(order) != list(range(num_axes)):
        raise ValueError(
            f"{function}: {axis_order=} must name each of the {num_axes} axes of "
            "coordinates once."
        )
    return order


def _pairs_of_axes(function, d_model, axis_shares, num_axes):
    """Angles that each axis of coordinates gets."""
    shares = (1,) * num_axes if axis_shares is None else tuple(axis_shares)
    shares = tuple(operator.index(share) for share in shares)
    if len(shares) != num_axes or min(shares) <= 0:
        raise ValueError(
            f"{function}: {axis_shares=} must be positive, one for each of the "
            f"{num_axes} axes of coordinates."
        )
    whole = 2 * sum(shares)
    unit = math.lcm(*(whole // math.gcd(whole, share) for share in shares))
    if d_model <= 0 or d_model % unit != 0:
        raise ValueError(
            f"{function}: {d_model=} must be a positive multiple of {unit}, so that "
            "every axis gets an even number of features."
        )
    return [d_model * share // whole for share in shares]


def _scales_of_axes(function, position_scale, num_axes):
    if np.ndim(position_scale) == 0:
        return (position_scale,) * num_axes
    if len(position_scale) != num_axes:
        raise ValueError(
            f"{function}: {position_scale=} must be a number, or one for each of the "
            f"{num_axes} axes of coordinates."
        )
    return tuple(position_scale)
