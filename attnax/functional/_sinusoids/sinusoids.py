"""Sinusoids of every family: what they disagree on is an option each."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from ..._checks import (
    INT32_MAX,
    INT32_MIN,
    array_of,
    int32_in_range,
    is_integer,
    is_number,
    nan_where_invalid,
    number_array,
    positive_integer,
)
from ..._dtypes import compute_dtype
from ..._public import public
from .._angles.cos_sin import cos_sin

FRACTIONAL = "pass numerics='float32' for fractional positions"
FLOAT32 = jnp.finfo(jnp.float32)


@public
def sinusoids(
    positions: Real[Array | np.ndarray, "*positions"] | Sequence,
    d_model: int,
    *,
    base: float = 10_000.0,
    frequency_shift: float = 0.0,
    position_scale: float = 1.0,
    position_offset: int = 0,
    padding_position: int | None = None,
    layout: str = "interleaved",
    odd_width: str = "sine",
    scale: float | str = 1.0,
    numerics: str = "exact",
) -> Float[Array, "*positions features"]:
    """Sines and cosines of positions, in the way of the paper or of any other family.

    Angle `k` of position `p` is `(p + position_offset) * position_scale * base ** (-k /
    (d_model / 2 - frequency_shift))`, where an odd `d_model` is one less unless
    `odd_width` is `"sine"`. The defaults are the paper's; `interop.sinusoid_options`
    has the options of other families by name. Phases of integer positions are exact:
    the error before `scale` is at most 1.2e-7 where `(p + position_offset) *
    position_scale` is below 2**26.

    Args:
        positions: Positions, any shape; integers unless `numerics` is `"float32"`,
            which takes floats of 32 bits or more too. In 16 bits, times and distances
            have been rounded already: bfloat16 has nothing between 996 and 1000.
        d_model: Width. Positive; at least 2 unless `odd_width` is `"sine"`.
        base: Base of the frequencies. At least 1 and a finite float64.
        frequency_shift: With 0 the last frequency is one step short of `1 / base`;
            with 1 it is `1 / base` (tensor2tensor, Whisper). Below half the width. A
            single frequency is 1 whatever the shift.
        position_scale: Multiplies every frequency, in float64. Positive and below
            2**64; from 1.2e-38 to 3.4e38, the range of float32, for `"float32"`.
        position_offset: Added to positions, which must then still be int32.
        padding_position: A position, before the offset, whose row is zeros.
        layout: `"interleaved"` (sine and cosine of each angle side by side),
            `"sin_cos"` (all sines, then all cosines) or `"cos_sin"`.
        odd_width: What becomes of an odd `d_model`: one more sine than cosines
            (`"sine"`), a last column of zeros (`"zero"`), a result one feature
            narrower (`"drop"`), or an error (`"refuse"`).
        scale: Multiplies the result. 0, from 1.2e-38 to 3.4e38 in magnitude, or
            `"unit"`: `sqrt(2 / d_model)`, which makes rows of an even width unit
            vectors. A learned scale is the caller's product.
        numerics: `"exact"`, or `"float32"` for fractional positions: a float32 product
            that differentiates, whose error is 2**-23 of the angle. Positions are
            compared and offset before they are rounded to float32.

    Returns:
        float32, the shape of `positions` and then `d_model` features, or one less where
        an odd column is dropped. Traced integers that leave int32, with or without the
        offset, give rows of NaN.

    Raises:
        ValueError: If an option is unknown or out of its range, `positions` are neither
            integers nor, for `"float32"`, real floats of 32 bits or more, or a known
            integer leaves int32.

    Example:
        >>> sinusoids(jnp.array([0]), 5, layout="sin_cos", odd_width="zero")
        Array([[0., 0., 1., 1., 0.]], dtype=float32)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5,
        https://arxiv.org/abs/1706.03762; the other options are those of released code,
        named in `interop.sinusoid_options`.
    """
    return make_sinusoids(
        positions,
        d_model,
        base=base,
        frequency_shift=frequency_shift,
        position_scale=position_scale,
        position_offset=position_offset,
        padding_position=padding_position,
        layout=layout,
        odd_width=odd_width,
        scale=scale,
        numerics=numerics,
        fractional=FRACTIONAL,
    )


def make_sinusoids(
    positions,
    d_model,
    *,
    base=10_000.0,
    frequency_shift=0.0,
    position_scale=1.0,
    position_offset=0,
    padding_position=None,
    layout="interleaved",
    odd_width="sine",
    scale: float | str = 1.0,
    numerics="exact",
    fractional="fractions of a position are not known to it",
):
    """`sinusoids` for any function, whose errors then carry its name."""
    half = _half_width(d_model, odd_width)
    check_layout(layout)
    factor = _factor(scale, d_model)
    check_numerics(numerics)
    inv_freq = geometric_inv_freq(half, base, frequency_shift, position_scale, numerics)
    padding = None
    if padding_position is not None:
        padding = _int32("padding_position", padding_position)
    offset = _int32("position_offset", position_offset)
    positions, valid = checked_positions(
        "positions", positions, numerics, fractional, offset
    )
    # Past int32 the sum wraps: `valid` tells where.
    shifted = positions + np.asarray(offset, positions.dtype) if offset else positions
    cos, sin = cos_sin(jnp.asarray(shifted), inv_freq, numerics=numerics)
    rows = arrange(sin, cos, layout, d_model)
    if factor != 1.0:
        rows = np.float32(factor) * rows
    if padding is not None:
        is_padding = _equal(positions, padding)
        rows = jnp.where(is_padding[..., None], jnp.zeros_like(rows), rows)
    if odd_width == "zero" and d_model % 2 == 1:
        rows = jnp.pad(rows, [(0, 0)] * positions.ndim + [(0, 1)])
    return nan_where_invalid(valid, rows)


def checked_positions(name, positions, numerics, fractional, offset=0):
    """int32 positions that stay int32 with the offset and where, or wide float ones.

    Floats of NumPy are float64 on the host, which holds every int32.
    """
    positions = array_of(name, positions)
    if numerics == "float32":
        positions = number_array(name, positions)
    dtype = positions.dtype
    if numerics == "float32" and jnp.issubdtype(dtype, jnp.floating):
        if isinstance(positions, np.ndarray):
            return positions.astype(np.float64), None
        return positions.astype(compute_dtype(dtype)), None
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(f"{name}.{dtype=!s} must be integer; {fractional}.")
    bounds = INT32_MIN - min(offset, 0), INT32_MAX + 1 - max(offset, 0)
    hint = f" for position_offset={offset}" if offset else ""
    return int32_in_range(name, positions, *bounds, hint)


def check_numerics(numerics):
    """The kinds of arithmetic."""
    if numerics not in ("exact", "float32"):
        raise ValueError(f"{numerics=} must be 'exact' or 'float32'.")


def geometric_inv_freq(
    half,
    base,
    frequency_shift,
    position_scale,
    numerics,
    name="position_scale",
):
    """`position_scale * base ** (-k / (half - frequency_shift))`, in float64.

    `name` is what the caller's own signature calls `position_scale`.
    """
    step, shift, scale = (as_float(t) for t in (base, frequency_shift, position_scale))
    if not 1 <= step < math.inf:
        raise ValueError(f"{base=} must be at least 1 and finite.")
    if not 0 < scale < math.inf:
        raise ValueError(f"{name}={position_scale!r} must be positive and finite.")
    if numerics == "exact" and scale >= 2.0**64:
        raise ValueError(f"{name}={position_scale!r} must be below 2**64.")
    if numerics == "float32" and not is_normal(scale):
        raise ValueError(
            f"{name}={position_scale!r} must lie in the range of float32, "
            "1.2e-38 to 3.4e38."
        )
    if not math.isfinite(shift):
        raise ValueError(f"{frequency_shift=} must be finite.")
    pairs = math.ceil(half)
    if pairs == 1:  # where the exponent would be 0 / 0 for a shift of 1
        return np.array([scale])
    if not shift < half:
        raise ValueError(f"{frequency_shift=} must be below {half}.")
    # Python's power, one at a time: NumPy's vector form is allowed to be less exact.
    exponents = [-k / (half - shift) for k in range(pairs)]
    return scale * np.array([step**e for e in exponents])


def as_float(value):
    """Python's float of a static number; NaN of all else, which is in no range."""
    return float(value) if is_number(value) else math.nan


def is_normal(value):
    """Whether float32 has a normal number for it: no infinity, no flush to zero."""
    return float(FLOAT32.tiny) <= abs(value) <= float(FLOAT32.max)


def check_layout(layout):
    """The names of orders that `arrange` knows."""
    if layout not in ("interleaved", "sin_cos", "cos_sin"):
        raise ValueError(f"{layout=} must be 'interleaved', 'sin_cos' or 'cos_sin'.")


def arrange(sin, cos, layout, width):
    """At most `width` features of sines and cosines in the order of `layout`."""
    if layout == "interleaved":
        pairs = jnp.stack([sin, cos], axis=-1)
        # Not -1: nothing can be inferred where an axis is empty.
        return pairs.reshape(*sin.shape[:-1], 2 * sin.shape[-1])[..., :width]
    cos = cos[..., : width // 2]
    parts = [sin, cos] if layout == "sin_cos" else [cos, sin]
    return jnp.concatenate(parts, axis=-1)


def _half_width(d_model, odd_width):
    """Half of `d_model`, rounded down where an odd width has no extra sine."""
    d_model = positive_integer("d_model", d_model)
    if odd_width == "sine":
        return d_model / 2
    if odd_width not in ("zero", "drop", "refuse"):
        raise ValueError(f"{odd_width=} must be 'sine', 'zero', 'drop' or 'refuse'.")
    if d_model == 1 or (odd_width == "refuse" and d_model % 2 == 1):
        rule = "even" if odd_width == "refuse" else "at least 2"
        raise ValueError(f"{d_model=} must be {rule} for {odd_width=}.")
    return d_model // 2


def _factor(scale, d_model):
    if isinstance(scale, str) and scale == "unit":
        return math.sqrt(2 / d_model)
    factor = as_float(scale)
    if factor != 0 and not is_normal(factor):
        raise ValueError(
            f"{scale=} must be 0, from 1.2e-38 to 3.4e38 in magnitude, as "
            "float32 is, or 'unit'."
        )
    return factor


def _equal(positions, value):
    """Where checked positions are an int32, which a float32 may not hold."""
    typed = np.asarray(value, positions.dtype)
    return jnp.asarray((positions == typed) & (float(typed) == value))


def _int32(name, value):
    if not is_integer(value) or not INT32_MIN <= value <= INT32_MAX:
        raise ValueError(f"{name}={value!r} must be an integer in int32.")
    return int(value)
