"""Moving keys that are rotated already to other positions."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import int32_in_range, integer_array
from ..._public import public
from .by_length import RopePerRow
from .forms import check_batch, rope_settings, without_factor
from .record import Rope
from .rotary_cos_sin import cos_sin_of_rope
from .rotation_checks import check_rotated, check_sequence, shape_of_positions
from .stack import StackedRopes
from .turn import turned_in_order


@public
def rerotate(
    rope: Rope | StackedRopes | RopePerRow,
    keys: Float[Array | np.ndarray, "*batch head_dim"],
    delta: Integer[Array | np.ndarray, "*positions"] | Sequence | SupportsIndex,
    *,
    head_axis: SupportsIndex | None = -2,
) -> Float[Array, "*batch head_dim"]:
    """Takes a `Rope` record: moves keys that are rotated already by `delta` positions.

    `rerotate(rope, rotate(rope, k, m), d)` is `rotate(rope, k, m + d)`. A cache needs
    it when tokens in front of the keys are evicted or inserted.

    Args:
        rope: The record by which the keys were rotated.
        keys: Rotated keys, as `rotate` returned them, with their order of channels and
            the attention factor.
        delta: Integer differences of positions, in the shape that `rotate` takes for
            positions or in one that broadcasts to it, a single number included. For a
            rope of several axes, a last axis of one coordinate stands for all of them.
            Differences may be negative.
        head_axis: The axis of heads in `keys`, see `apply_rotary`.

    Returns:
        The moved keys, in the shape and dtype of `keys`.

    Raises:
        ValueError: If `delta` is not of integers, or for an error of `rotary_cos_sin`
            or `apply_rotary`.

    Example:
        >>> rope = Rope(default_inv_freq(8))
        >>> rerotate(rope, jnp.ones((2, 5, 3, 8)), -4).shape
        (2, 5, 3, 8)

    Reference:
        Xiao et al., Efficient Streaming Language Models with Attention Sinks, 2023,
        section 3.2: positions within the cache. https://arxiv.org/abs/2309.17453
    """
    settings = rope_settings(rope)
    check_rotated(settings, keys, head_axis, argument="keys")
    check_batch(rope, keys, head_axis, argument="keys")
    delta = integer_array("delta", delta)
    given = f"{delta.shape=}"
    if settings.axis_of_pair is not None and delta.shape[-1:] in ((), (1,)):
        delta = jnp.broadcast_to(delta, (*delta.shape[:-1], settings.num_axes))
    if not shape_of_positions(settings, delta, "delta"):
        int32_in_range("delta", delta)  # while the error has no index
        delta = delta[None]
    shape = shape_of_positions(settings, delta, "delta")
    check_sequence(given, shape, keys, head_axis, argument="keys", one_for_all=True)
    cos, sin = cos_sin_of_rope(without_factor(rope), delta, argument="delta")
    order = settings._order_out
    return turned_in_order(settings, keys, cos, sin, head_axis, order, order)
