"""Rotating queries and keys by a `Rope`."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import COUNT_FROM, array_of_several, check_flags
from ..._public import public
from .by_length import RopePerRow
from .forms import check_batch, rope_settings
from .record import Rope
from .rotary_cos_sin import cos_sin_of_rope
from .rotation_checks import (
    check_cos_sin,
    check_rotated,
    check_sequence,
    shape_of_positions,
)
from .stack import StackedRopes
from .turn import turned


@public
def apply_rotary(
    rope: Rope | StackedRopes | RopePerRow,
    x: Float[Array | np.ndarray, "*batch head_dim"],
    cos: Float[Array | np.ndarray, "*positions rotary_pairs"],
    sin: Float[Array | np.ndarray, "*positions rotary_pairs"],
    *,
    inverse: bool = False,
    head_axis: SupportsIndex | None = -2,
) -> Float[Array, "*batch head_dim"]:
    """Takes a `Rope` record and arrays: rotates `x` by the `cos` and `sin` of the rope.

    The record says which channels form a pair, and `head_axis` where the sequence
    stands, so `cos` and `sin` need no head axis. `apply_rope` takes arrays only.

    Args:
        rope: The record from which `rotary_cos_sin` made `cos` and `sin`.
        x: Queries or keys, `(*batch, seq_len, num_heads, head_dim)`; see `head_axis`.
        cos: Cosines from `rotary_cos_sin`, `(*batch, seq_len, rotary_pairs)`. Batch
            axes broadcast against those of `x` and never enlarge it.
        sin: Sines from `rotary_cos_sin`, in the shape of `cos`.
        inverse: True undoes the rotation, to within `4 * 2**-23` of the length of each
            pair: it turns the other way and divides by the attention factor. `x` then
            has the order of channels that a rotation returns.
        head_axis: The axis of heads in `x`: -2 for heads after the sequence, -3 for
            heads before it, `(*batch, num_heads, seq_len, head_dim)`, or `None` for no
            such axis, `(*batch, seq_len, head_dim)`.

    Returns:
        The rotated `x`, in its shape and dtype, rounded once. Channels that do not
        rotate keep their bits.

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
    check_rotated(settings, x, head_axis)
    check_batch(rope, x, head_axis)
    check_cos_sin(cos, sin)
    check_flags(inverse=inverse)
    if cos.shape[-1] != settings.rotary_pairs:
        raise ValueError(
            f"{cos.shape=} must end in the {settings.rotary_pairs} pairs of "
            "the rope; make it with rotary_cos_sin."
        )
    check_sequence(f"{cos.shape=}", cos.shape[:-1], x, head_axis)
    return turned(rope, settings, x, cos, sin, head_axis, inverse=inverse)


@public
def rotate(
    rope: Rope | StackedRopes | RopePerRow,
    x: Float[Array | np.ndarray, "*batch head_dim"],
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence,
    *,
    inverse: bool = False,
    head_axis: SupportsIndex | None = -2,
) -> Float[Array, "*batch head_dim"]:
    """Takes a `Rope` record: rotates `x` by its positions.

    It is `rotary_cos_sin` followed by `apply_rotary`. Where several layers of one
    program share their positions, call `rotary_cos_sin` once, above them, and
    `apply_rotary` in each.

    Args:
        rope: A record, one element of `stack_ropes`, or the result of `rope_by_length`.
        x: Queries or keys, `(*batch, seq_len, num_heads, head_dim)`; see `head_axis`.
        positions: Integer positions, `(*batch, seq_len)`, with a last axis of
            coordinates for a rope with `axis_of_pair`. Batch axes broadcast against
            those of `x`.
        inverse: True undoes the rotation, see `apply_rotary`.
        head_axis: The axis of heads in `x`, see `apply_rotary`.

    Returns:
        The rotated `x`, in its shape and dtype. Traced positions outside int32 give
        NaN.

    Raises:
        ValueError: For an error of `rotary_cos_sin` or `apply_rotary`.

    Example:
        >>> rope = Rope(default_inv_freq(8), "interleaved")
        >>> rotate(rope, jnp.ones((2, 5, 3, 8)), jnp.arange(5)).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    check_rotated(rope_settings(rope), x, head_axis)
    check_batch(rope, x, head_axis)
    return rotate_heads(rope, x, positions, head_axis, inverse=inverse)


def rotate_heads(rope, x, positions, head_axis, *, inverse, end=None):
    """`rotate` of an `x` that `check_rotated` has passed.

    Positions must lie in `[0, end)` if an `end` is given.
    """
    settings = rope_settings(rope)
    check_flags(inverse=inverse)
    positions = array_of_several("positions", positions, COUNT_FROM)
    shape = shape_of_positions(settings, positions)
    check_sequence(f"{positions.shape=}", shape, x, head_axis)
    cos, sin = cos_sin_of_rope(rope, positions, end=end)
    return turned(rope, settings, x, cos, sin, head_axis, inverse=inverse)
