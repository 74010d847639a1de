"""Rotating by a `Rope`: cos and sin, their application, and both in one."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, Real

from ..._checks import (
    COUNT_FROM,
    array_of,
    array_of_several,
    check_flags,
    int32_in_range,
    integer_array,
    nan_where_invalid,
)
from ..._public import public
from .._angles.cos_sin import cos_sin, cos_sin_of_words
from .apply import check_rotation
from .factors import times_attention_factor
from .kernel import rotate_pairs
from .record import Rope, StackedRopes
from .rotation_checks import (
    check_head_axis,
    check_rotated,
    check_sequence,
    rope_settings,
    shape_of_positions,
)

_FRACTIONAL = (
    "; for fractional positions use rotary_cos_sin with numerics='float32' and "
    "apply_rotary"
)


@public
def rotary_cos_sin(
    rope: Rope | StackedRopes,
    positions: Real[Array | np.ndarray, "*positions"] | Sequence,
    *,
    numerics: str = "exact",
) -> tuple[Float[Array, "... rotary_pairs"], Float[Array, "... rotary_pairs"]]:
    """Cos and sin of `positions`, times the attention factor: once for all layers.

    Args:
        rope: A record, or one element of `stack_ropes`.
        positions: `(*batch, seq_len)`; for a rope with `axis_of_pair`, with a last axis
            of `num_axes` coordinates, on text too (the same number on each).
        numerics: `"exact"` for integer positions. `"float32"` for fractional ones: see
            `rope_cos_sin`.

    Returns:
        `(cos, sin)` in float32, each `(*batch, seq_len, rotary_pairs)`.

    Raises:
        ValueError: If `positions` have another number of coordinates, or as
            `rope_cos_sin` does.

    Example:
        >>> cos, sin = rotary_cos_sin(Rope(default_inv_freq(8)), jnp.arange(5))
        >>> cos.shape
        (5, 4)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    hint = "; pass numerics='float32' for fractional positions"
    return cos_sin_of_rope(rope, positions, hint=hint, numerics=numerics)


@public
def apply_rotary(
    rope: Rope | StackedRopes,
    x: Float[Array, "*batch head_dim"],
    cos: Float[Array, "*positions rotary_pairs"],
    sin: Float[Array, "*positions rotary_pairs"],
    *,
    inverse: bool = False,
    head_axis: int | None = -2,
) -> Float[Array, "*batch head_dim"]:
    """Rotates `x` by the cos and sin of `rotary_cos_sin`.

    Args:
        rope: The record that `cos` and `sin` were made of.
        x: Queries or keys, `(*batch, seq_len, num_heads, head_dim)`; see `head_axis`.
        cos: From `rotary_cos_sin`, `(*batch, seq_len, rotary_pairs)`; batch axes
            broadcast against those of `x` and never enlarge it.
        sin: Like `cos`.
        inverse: Undo the rotation, to within `4 * 2**-23` of the length of each pair:
            turn back, and divide by the attention factor. `x` is then in the order that
            rotating puts out.
        head_axis: The axis of heads in `x`: -2, after the sequence; -3, before it,
            `(*batch, num_heads, seq_len, head_dim)`; or `None` for no such axis,
            `(*batch, seq_len, head_dim)`.

    Returns:
        The shape and dtype of `x`, rounded once. Channels that do not rotate pass bit
        for bit.

    Raises:
        ValueError: If `head_axis` is none of these, the shapes do not fit each other
            and the rope, a dtype is not a real float, or `head_dim` is sharded.

    Example:
        >>> rope = Rope(default_inv_freq(8))
        >>> cos, sin = rotary_cos_sin(rope, jnp.arange(5))
        >>> apply_rotary(rope, jnp.ones((2, 5, 3, 8)), cos, sin).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    settings = rope_settings(rope)
    check_rotation(x, cos, sin)
    check_flags(inverse=inverse)
    check_head_axis(head_axis)
    if cos.shape[-1] != settings.rotary_pairs:
        raise ValueError(
            f"{cos.shape=} must end in the {settings.rotary_pairs} pairs of "
            "the rope; make it with rotary_cos_sin."
        )
    check_rotated(settings, x, head_axis)
    check_sequence(f"{cos.shape=}", cos.shape[:-1], x, head_axis)
    return _turned(rope, settings, x, cos, sin, inverse, head_axis)


@public
def rotate(
    rope: Rope | StackedRopes,
    x: Float[Array, "*batch head_dim"],
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence,
    *,
    inverse: bool = False,
    head_axis: int | None = -2,
) -> Float[Array, "*batch head_dim"]:
    """Rotates `x` by `positions`: `rotary_cos_sin`, then `apply_rotary`.

    Several layers in one program share cos and sin if `rotary_cos_sin` is called once,
    above them.

    Args:
        rope: A record, or one element of `stack_ropes`.
        x: Queries or keys, `(*batch, seq_len, num_heads, head_dim)`; see `head_axis`.
        positions: `(*batch, seq_len)`, with a last axis of coordinates for a rope with
            `axis_of_pair`; batch axes broadcast against those of `x`.
        inverse: Undo the rotation, see `apply_rotary`.
        head_axis: The axis of heads in `x`, see `apply_rotary`.

    Returns:
        The shape and dtype of `x`. Traced positions outside int32 give NaN.

    Raises:
        ValueError: As `rotary_cos_sin` and `apply_rotary` do.

    Example:
        >>> rope = Rope(default_inv_freq(8), "interleaved")
        >>> rotate(rope, jnp.ones((2, 5, 3, 8)), jnp.arange(5)).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    return rotate_heads(rope, x, positions, inverse=inverse, head_axis=head_axis)


@public
def rerotate(
    rope: Rope | StackedRopes,
    keys: Float[Array, "*batch head_dim"],
    delta: Integer[Array | np.ndarray, "*positions"] | Sequence | int,
    *,
    head_axis: int | None = -2,
) -> Float[Array, "*batch head_dim"]:
    """Turns keys that are rotated already by a difference of positions.

    What a cache needs when tokens before the keys are evicted or come in:
    `rerotate(rope, rotate(rope, k, m), d)` is `rotate(rope, k, m + d)`.

    Args:
        rope: The record by which the keys were rotated.
        keys: As `rotate` put them out, in that order and with the attention factor they
            have.
        delta: Position difference, shaped as `positions` are for `rotate`, or what
            broadcasts to that, a single number included; for a rope of several axes,
            one coordinate on the last axis is for all of them. It may be negative.
        head_axis: The axis of heads in `keys`, see `apply_rotary`.

    Returns:
        The shape and dtype of `keys`.

    Raises:
        ValueError: As `rotary_cos_sin` and `apply_rotary` do.

    Example:
        >>> rope = Rope(default_inv_freq(8))
        >>> rerotate(rope, jnp.ones((2, 5, 3, 8)), -4).shape
        (2, 5, 3, 8)

    Reference:
        Xiao et al., Efficient Streaming Language Models with Attention Sinks, 2023,
        section 3.2: positions within the cache. https://arxiv.org/abs/2309.17453
    """
    settings = rope_settings(rope)
    check_rotated(settings, keys, head_axis, name="keys")
    delta = array_of("delta", delta)
    given = f"{delta.shape=}"
    several = settings.axis_of_pair is not None
    if several and delta.shape[-1:] in ((), (1,)):
        delta = integer_array("delta", delta)
        delta = jnp.broadcast_to(delta, (*delta.shape[:-1], settings.num_axes))
    shape = shape_of_positions(settings, delta, "delta") or (1,)
    check_sequence(given, shape, keys, head_axis, name="keys", one_for_all=True)
    cos, sin = cos_sin_of_rope(
        _without_factor(rope),
        delta,
        argument="delta",
        hint="; positions differ by integers",
    )
    cos, sin = (t.reshape(*shape, settings.rotary_pairs) for t in (cos, sin))
    order = settings._order_out
    return _apply(settings, keys, cos, sin, head_axis, order, order)


def rotate_heads(
    rope,
    x,
    positions,
    *,
    inverse=False,
    head_axis: int | None = -2,
    end: int | None = None,
):
    """`rotate` for any function, whose errors then carry its name.

    With an `end` positions must lie in `[0, end)`.
    """
    settings = rope_settings(rope)
    check_rotated(settings, x, head_axis)
    check_flags(inverse=inverse)
    positions = array_of_several("positions", positions, COUNT_FROM)
    shape = shape_of_positions(settings, positions)
    check_sequence(f"{positions.shape=}", shape, x, head_axis)
    cos, sin = cos_sin_of_rope(rope, positions, end=end)
    return _turned(rope, settings, x, cos, sin, inverse, head_axis)


def cos_sin_of_rope(
    rope,
    positions,
    *,
    numerics="exact",
    argument="positions",
    hint=_FRACTIONAL,
    end: int | None = None,
):
    """Cos and sin of a record or of an element of a stack.

    With an `end` positions must lie in `[0, end)`. Errors call the positions
    `argument`, and `hint` is the way out for positions that are not integers.
    """
    settings = rope_settings(rope)
    valid, axes = None, settings.axis_of_pair
    positions = array_of_several(argument, positions)
    shape_of_positions(settings, positions, argument)
    # Fractions are refused below, with what to do about them.
    if end is not None and jnp.issubdtype(positions.dtype, jnp.integer):
        positions, valid = int32_in_range(argument, positions, 0, end)
        if valid is not None and axes is not None:
            valid = valid.all(-1)
    if isinstance(rope, Rope):
        made = cos_sin(
            positions,
            np.array(rope.inv_freq),
            axis_of_pair=axes,
            num_axes=settings.num_axes,
            numerics=numerics,
            argument=argument,
            hint=hint,
        )
        cos, sin = times_attention_factor(made, rope.attention_factor)
    elif numerics != "exact":
        raise ValueError(f"{numerics=} must be 'exact' for stacked ropes.")
    else:
        cos, sin = cos_sin_of_words(positions, rope.words, axes, argument=argument)
        cos, sin = (t * rope.attention_factor for t in (cos, sin))
    return nan_where_invalid(valid, cos), nan_where_invalid(valid, sin)


def _turned(rope, settings, x, cos, sin, inverse, head_axis):
    """`x` rotated by cos and sin that fit, or turned back."""
    order_in, order_out = settings._order_in, settings._order_out
    if inverse:
        order_in, order_out = order_out, order_in
        # They hold the attention factor once, and turning back divides by it.
        scale = _inverse_square(rope.attention_factor)
        cos, sin = cos * scale, sin * scale
    return _apply(
        settings, x, cos, sin, head_axis, order_in, order_out, inverse=inverse
    )


def _apply(settings, x, cos, sin, head_axis, order_in, order_out, *, inverse=False):
    """Inserts the head axis, finds the channels and rotates them."""
    if head_axis is not None:
        cos, sin = (jnp.expand_dims(t, head_axis) for t in (cos, sin))
    ones = (1,) * (x.ndim - cos.ndim)
    cos, sin = (jnp.reshape(t, (*ones, *t.shape)) for t in (cos, sin))
    first_channel = settings._first_channel(x.shape[-1])
    if settings.num_blocks > 1:
        return _rotate_blocks(x, cos, sin, settings, first_channel, inverse)
    return rotate_pairs(
        x,
        cos,
        sin,
        order_in=order_in,
        order_out=order_out,
        first_channel=first_channel,
        inverse=inverse,
    )


def _rotate_blocks(x, cos, sin, settings, first_channel, inverse):
    """Halves within each block, which becomes an axis of its own."""
    stop, blocks = first_channel + settings.rotary_dim, settings.num_blocks
    split = lambda t: t.reshape(*t.shape[:-1], blocks, t.shape[-1] // blocks)
    rotated = rotate_pairs(
        *(split(t) for t in (x[..., first_channel:stop], cos, sin)),
        order_in="half",
        order_out="half",
        first_channel=0,
        inverse=inverse,
    )
    rotated = rotated.reshape(*x.shape[:-1], stop - first_channel)
    if rotated.shape == x.shape:
        return rotated
    return jnp.concatenate([x[..., :first_channel], rotated, x[..., stop:]], axis=-1)


def _inverse_square(factor):
    if isinstance(factor, float):  # static: rounded once
        return np.float32(factor**-2)
    return 1.0 / factor**2


def _without_factor(rope):
    if isinstance(rope, Rope):
        return dataclasses.replace(rope, attention_factor=1.0)
    return rope._replace(attention_factor=jnp.ones_like(rope.attention_factor))
