"""Sinusoids of positions, with an option for each point on which families differ."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from ..._checks import (
    FLOAT32_MAX,
    FLOAT32_TINY,
    INT32_MAX,
    INT32_MIN,
    choice,
    integer,
    is_number,
    nan_where_invalid,
    positions_array,
    positive_integer,
)
from ..._public import public
from .._angles.cos_sin import cos_sin
from .frequencies import checked_position_scale, geometric_inv_freq
from .layout import LAYOUTS, arrange

_ODD_WIDTHS = ("sine", "zero", "drop", "refuse")


@public
def sinusoids(
    positions: Real[Array | np.ndarray, "*positions"] | Sequence | SupportsIndex,
    d_model: SupportsIndex,
    *,
    base: SupportsFloat = 10_000.0,
    frequency_shift: SupportsFloat = 0.0,
    position_scale: SupportsFloat = 1.0,
    position_offset: SupportsIndex = 0,
    padding_position: SupportsIndex | None = None,
    layout: str = "interleaved",
    odd_width: str = "sine",
    scale: SupportsFloat | str = 1.0,
    numerics: str = "exact",
) -> Float[Array, "*positions features"]:
    """Sines and cosines of positions, as the Transformer paper or another family does.

    Angle `k` of position `p` is `(p + position_offset) * position_scale * base ** (-k /
    (width / 2 - frequency_shift))`, for `k` from 0 to below `width / 2`. The `width` is
    `d_model`; for an odd `d_model` it is `d_model - 1` unless `odd_width` is `"sine"`.

    The defaults are the paper's. `attnax.interop.sinusoid_options` has the options of
    other families by name. Phases of integer positions are exact: where `(p +
    position_offset) * position_scale` is below 2**26, the error of a feature before
    `scale` is at most 1.2e-7.

    Args:
        positions: Positions of any shape. They are integers unless `numerics` is
            `"float32"`, which takes floats of 32 bits or more too. Floats of 16 bits
            are refused, because they have rounded times and distances already: no
            bfloat16 lies between 996 and 1000.
        d_model: Number of features. Positive; at least 2 unless `odd_width` is
            `"sine"`.
        base: Base of the frequencies. At least 1 and finite.
        frequency_shift: Steps taken off the length of the progression. With 0, the
            last frequency is one step short of `1 / base`; with 1, it is `1 / base`, as
            in tensor2tensor and Whisper. Below half the width. A single frequency is 1
            whatever the shift.
        position_scale: Factor of every frequency, applied in float64. Positive and
            below 2**64; for `"float32"`, from 1.2e-38 to 3.4e38, the range of float32.
        position_offset: Integer added to the positions. The sums must be int32 too.
        padding_position: Position, before the offset, whose row is zeros.
        layout: Order of the features: `"interleaved"` (sine and cosine of each angle
            side by side), `"sin_cos"` (all sines, then all cosines) or `"cos_sin"`.
        odd_width: Treatment of an odd `d_model`: one more sine than cosines
            (`"sine"`), a last column of zeros (`"zero"`), a result one feature
            narrower (`"drop"`), or an error (`"refuse"`).
        scale: Factor of the result: 0, a number from 1.2e-38 to 3.4e38 in magnitude, or
            `"unit"`. `"unit"` is `sqrt(2 / d_model)`, which makes rows of an even width
            unit vectors. Multiply the result yourself by a learned scale.
        numerics: `"exact"` for integer positions, or `"float32"`, which takes
            fractional positions and differentiates: the angle is a float32 product,
            with an error of 2**-23 of the angle. Positions are compared with
            `padding_position` and offset before they are rounded to float32.

    Returns:
        float32, of the shape of `positions` and then `d_model` features, or `d_model -
        1` where an odd column is dropped. The rows of traced integers that leave int32,
        with or without the offset, are NaN.

    Raises:
        ValueError: If an option is unknown or out of its range, `positions` are neither
            integers nor, for `"float32"`, real floats of 32 bits or more, or a known
            integer leaves int32.

    Example:
        >>> sinusoids(jnp.array([0]), 5, layout="sin_cos", odd_width="zero")
        Array([[0., 0., 1., 1., 0.]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5,
        https://arxiv.org/abs/1706.03762. The other options are those of released code,
        which `attnax.interop.sinusoid_options` names.
    """
    d_model = positive_integer("d_model", d_model)
    half = _half_width(d_model, odd_width)
    choice("layout", layout, LAYOUTS)
    factor = _factor(scale, d_model)
    offset = integer("position_offset", position_offset, INT32_MIN, INT32_MAX)
    if padding_position is not None:
        padding_position = integer(
            "padding_position", padding_position, INT32_MIN, INT32_MAX
        )
    positions, valid = positions_array("positions", positions, numerics, offset)
    scaled = checked_position_scale("position_scale", position_scale, numerics)
    inv_freq = geometric_inv_freq(half, base, frequency_shift, scaled)
    # Past int32 the sum wraps, and `valid` is False there.
    shifted = positions + np.asarray(offset, positions.dtype) if offset else positions
    cos, sin = cos_sin(jnp.asarray(shifted), inv_freq, numerics=numerics)
    rows = arrange(sin, cos, layout, d_model)
    if factor != 1.0:
        rows = np.float32(factor) * rows
    if padding_position is not None:
        is_padding = _equal(positions, padding_position)
        rows = jnp.where(is_padding[..., None], jnp.zeros_like(rows), rows)
    if odd_width == "zero" and d_model % 2 == 1:
        rows = jnp.pad(rows, [(0, 0)] * positions.ndim + [(0, 1)])
    return nan_where_invalid(valid, rows)


def _half_width(d_model, odd_width):
    """Half of `d_model`, rounded down where an odd width has no extra sine."""
    choice("odd_width", odd_width, _ODD_WIDTHS)
    if odd_width == "sine":
        return d_model / 2
    if d_model == 1 or (odd_width == "refuse" and d_model % 2 == 1):
        rule = "even" if odd_width == "refuse" else "at least 2"
        raise ValueError(f"{d_model=} must be {rule} for {odd_width=}.")
    return d_model // 2


def _factor(scale, d_model):
    if isinstance(scale, str) and scale == "unit":
        return math.sqrt(2 / d_model)
    factor = float(scale) if is_number(scale) else math.nan
    if factor != 0 and not FLOAT32_TINY <= abs(factor) <= FLOAT32_MAX:
        raise ValueError(
            f"{scale=} must be 0, 'unit', or a number from 1.2e-38 to 3.4e38 in "
            "magnitude, the range of float32."
        )
    return factor


def _equal(positions, value):
    """Where checked positions equal an integer that float32 may not hold."""
    typed = np.asarray(value, positions.dtype)
    return jnp.asarray((positions == typed) & (float(typed) == value))
