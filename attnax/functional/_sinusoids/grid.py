"""Sinusoids of several axes: images and videos."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from ..._checks import array_of, check_flags, integers, is_integer, nan_where_invalid
from ..._public import public
from .._angles.cos_sin import cos_sin
from .sinusoids import (
    FRACTIONAL,
    arrange,
    check_layout,
    check_numerics,
    checked_positions,
    geometric_inv_freq,
)


@public
def grid_sinusoids(
    coordinates: Real[Array | np.ndarray, "*batch num_patches num_axes"] | Sequence,
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
            row. Integers unless `numerics` is `"float32"`, which takes floats of 32
            bits or more too.
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
            `coordinates` are neither integers nor, for `"float32"`, real floats of 32
            bits or more, or a known integer lies outside int32.

    Example:
        >>> grid = positions_from_grid((2, 3))
        >>> grid_sinusoids(grid, 8, axis_order=(1, 0), num_prefix_tokens=1).shape
        (7, 8)

    Reference:
        Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers,
        2021, section 3, https://arxiv.org/abs/2104.02057; the options are those of
        released code, named in `interop.grid_sinusoid_options`.
    """
    return make_grid_sinusoids(
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


def make_grid_sinusoids(
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
    """`grid_sinusoids` for any function, whose errors then carry its name."""
    coordinates = array_of("coordinates", coordinates)
    if coordinates.ndim < 2 or coordinates.shape[-1] == 0:
        raise ValueError(f"{coordinates.shape=} must be (..., num_patches, num_axes).")
    num_axes = coordinates.shape[-1]
    check_layout(layout)
    check_flags(per_axis=per_axis)
    if not is_integer(num_prefix_tokens) or num_prefix_tokens < 0:
        raise ValueError(f"{num_prefix_tokens=} must be an integer and not negative.")
    order = _axis_order(axis_order, num_axes)
    pairs = _pairs_of_axes(d_model, axis_shares, num_axes)
    scales = _scales_of_axes(position_scale, num_axes)
    check_numerics(numerics)
    inv_freq = [
        geometric_inv_freq(
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
        "coordinates", coordinates, numerics, FRACTIONAL
    )
    cos, sin = cos_sin(
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


def _axis_order(axis_order, num_axes):
    if axis_order is None:
        return tuple(range(num_axes))
    order = integers("axis_order", axis_order)
    if sorted(order) != list(range(num_axes)):
        raise ValueError(
            f"{axis_order=} must name each of the {num_axes} axes of coordinates once."
        )
    return order


def _pairs_of_axes(d_model, axis_shares, num_axes):
    """Angles that each axis of coordinates gets."""
    shares = (1,) * num_axes if axis_shares is None else tuple(axis_shares)
    shares = integers("axis_shares", shares)
    if len(shares) != num_axes or min(shares) <= 0:
        raise ValueError(
            f"{axis_shares=} must be positive, one for each of the "
            f"{num_axes} axes of coordinates."
        )
    whole = 2 * sum(shares)
    unit = math.lcm(*(whole // math.gcd(whole, share) for share in shares))
    if not is_integer(d_model) or d_model <= 0 or d_model % unit != 0:
        raise ValueError(
            f"{d_model=} must be a positive multiple of {unit}, so that "
            "every axis gets an even number of features."
        )
    return [d_model * share // whole for share in shares]


def _scales_of_axes(position_scale, num_axes):
    if np.ndim(position_scale) == 0:
        return (position_scale,) * num_axes
    if len(position_scale) != num_axes:
        raise ValueError(
            f"{position_scale=} must be a number, or one for each of the "
            f"{num_axes} axes of coordinates."
        )
    return tuple(position_scale)
