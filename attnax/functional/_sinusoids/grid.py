"""Sinusoids of several axes: images and videos."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from ..._checks import (
    array_of,
    check_flags,
    choice,
    integer,
    integers,
    nan_where_invalid,
    permutation,
    positions_array,
    positive_multiple,
)
from ..._public import public
from .._angles.cos_sin import cos_sin
from .frequencies import checked_position_scale, geometric_inv_freq
from .layout import LAYOUTS, arrange


@public
def grid_sinusoids(
    coordinates: Real[Array | np.ndarray, "*batch num_patches num_axes"] | Sequence,
    d_model: SupportsIndex,
    *,
    axis_order: Sequence[SupportsIndex] | None = None,
    axis_shares: Sequence[SupportsIndex] | None = None,
    base: SupportsFloat = 10_000.0,
    frequency_shift: SupportsFloat = 0.0,
    position_scale: SupportsFloat | Sequence[SupportsFloat] = 1.0,
    layout: str = "sin_cos",
    per_axis: bool | np.bool_ = True,
    num_prefix_tokens: SupportsIndex = 0,
    numerics: str = "exact",
) -> Float[Array, "*batch num_tokens {d_model}"]:
    """Sinusoids of each coordinate of a patch, one block of features after another.

    An axis of width `w` has the frequencies `position_scale * base ** (-k / (w / 2 -
    frequency_shift))`, as in `sinusoids`. `attnax.interop.grid_sinusoid_options` has
    the options of released models by name.

    Args:
        coordinates: Coordinates of each patch; `positions_from_grid` makes those of a
            grid, row by row. They are integers unless `numerics` is `"float32"`, which
            takes floats of 32 bits or more too.
        d_model: Number of features, which the axes share. Every axis gets a positive
            even number of them.
        axis_order: Axis of `coordinates` that each block of features encodes. `None` is
            `(0, 1, ...)`, which for an image is rows first. Some released models put
            columns first, `(1, 0)`; on a square grid no shape shows the difference.
        axis_shares: Share of the width for each axis of `coordinates`, as positive
            integers. `None` is equal shares.
        base: Base of the frequencies. At least 1 and finite.
        frequency_shift: Steps taken off the length of the progression. With 0, the
            last frequency is one step short of `1 / base`; with 1, it is `1 / base`.
            Below half the width of every axis. A single frequency is 1 whatever the
            shift.
        position_scale: Factor of the frequencies, applied in float64: a number, or one
            for each axis of `coordinates`. Positive and below 2**64; for `"float32"`,
            from 1.2e-38 to 3.4e38, the range of float32. It keeps integer coordinates
            exact where a model divides them: for a model trained on 16 x 16 patches and
            run on `rows` x `columns`, it is `(16 / rows, 16 / columns)`.
        layout: Order of the features in a block: `"sin_cos"` (all sines, then all
            cosines), `"cos_sin"` or `"interleaved"`.
        per_axis: Whether each axis has a block of its own. `False` makes one block of
            all axes, in which the sines of every axis come before the first cosine.
        num_prefix_tokens: Number of rows of zeros in front of the patches, for class
            tokens. Not negative.
        numerics: `"exact"` for integer coordinates, or `"float32"`, which takes
            fractional coordinates and differentiates: the angle is a float32 product,
            with an error of 2**-23 of the angle.

    Returns:
        float32, `(*batch, num_prefix_tokens + num_patches, d_model)`. A patch with a
        traced coordinate outside int32 gives a row of NaN.

    Raises:
        ValueError: If `d_model` does not divide into even shares, `axis_order` does not
            name every axis once, an option is unknown or out of its range,
            `coordinates` are neither integers nor, for `"float32"`, real floats of 32
            bits or more, or a known integer lies outside int32.

    Example:
        >>> grid = positions_from_grid((2, 3))
        >>> grid_sinusoids(grid, 8, axis_order=(1, 0), num_prefix_tokens=1).shape
        (7, 8)

    Reference:
        Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers,
        2021, section 3, https://arxiv.org/abs/2104.02057. The options are those of
        released code, which `attnax.interop.grid_sinusoid_options` names.
    """
    coordinates = array_of("coordinates", coordinates)
    if coordinates.ndim < 2 or coordinates.shape[-1] == 0:
        raise ValueError(f"{coordinates.shape=} must be (..., num_patches, num_axes).")
    num_axes = coordinates.shape[-1]
    choice("layout", layout, LAYOUTS)
    check_flags(per_axis=per_axis)
    num_prefix_tokens = integer("num_prefix_tokens", num_prefix_tokens, 0)
    order = range(num_axes)
    if axis_order is not None:
        order = permutation("axis_order", axis_order, num_axes)
    pairs = _pairs_of_axes(d_model, axis_shares, num_axes)
    coordinates, valid = positions_array("coordinates", coordinates, numerics)
    scales = _scales_of_axes(position_scale, num_axes, numerics)
    inv_freq = [
        geometric_inv_freq(pairs[axis], base, frequency_shift, scales[axis])
        for axis in order
    ]
    blocks = [block.size for block in inv_freq]
    cos, sin = cos_sin(
        jnp.asarray(coordinates),
        np.concatenate(inv_freq),
        axis_of_pair=np.repeat(order, blocks),
        num_axes=num_axes,
        numerics=numerics,
    )
    rows = _arrange_blocks(sin, cos, layout, blocks if per_axis else [sum(blocks)])
    rows = nan_where_invalid(None if valid is None else valid.all(-1), rows)
    if num_prefix_tokens == 0:
        return rows
    return jnp.pad(rows, [(0, 0)] * (rows.ndim - 2) + [(num_prefix_tokens, 0), (0, 0)])


def _arrange_blocks(sin, cos, layout, blocks):
    """`arrange` for each block; `blocks` are their numbers of pairs."""
    ends = np.cumsum(blocks)[:-1]
    parts = zip(*(jnp.split(t, ends, axis=-1) for t in (sin, cos)), strict=True)
    rows = [arrange(s, c, layout, 2 * s.shape[-1]) for s, c in parts]
    return jnp.concatenate(rows, axis=-1)


def _pairs_of_axes(d_model, axis_shares, num_axes):
    """The number of angles of each axis of coordinates."""
    shares = (1,) * num_axes
    if axis_shares is not None:
        shares = integers("axis_shares", axis_shares)
    if len(shares) != num_axes or min(shares) <= 0:
        raise ValueError(
            f"{axis_shares=} must be positive, one for each of the {num_axes} axes of "
            "coordinates."
        )
    whole = 2 * sum(shares)
    unit = math.lcm(*(whole // math.gcd(whole, share) for share in shares))
    reason = ", so that every axis of coordinates gets an even number of features"
    d_model = positive_multiple("d_model", d_model, unit, reason)
    return [d_model * share // whole for share in shares]


def _scales_of_axes(position_scale, num_axes, numerics):
    """One factor of the frequencies for each axis of coordinates."""
    several = isinstance(position_scale, list | tuple) or (
        getattr(position_scale, "ndim", 0) > 0
    )
    if not several:
        scale = checked_position_scale("position_scale", position_scale, numerics)
        return [scale] * num_axes
    if len(position_scale) != num_axes:
        raise ValueError(
            f"{position_scale=} must be a number, or one for each of the {num_axes} "
            "axes of coordinates."
        )
    return [
        checked_position_scale(f"position_scale[{axis}]", scale, numerics)
        for axis, scale in enumerate(position_scale)
    ]
