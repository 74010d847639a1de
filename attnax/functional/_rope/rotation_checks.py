"""What a rope, the array that it rotates and the positions must agree on."""

import numpy as np

from ..._checks import COUNT_FROM
from ..._dtypes import float_dtype
from .._angles.axes import check_coordinates
from .apply import check_broadcast, check_features
from .record import Rope, StackedRopes

HEAD_AXES = (-2, -3, None)
_AXES = {
    -2: "seq_len, num_heads, head_dim",
    -3: "num_heads, seq_len, head_dim",
    None: "seq_len, head_dim",
}


def rope_settings(rope) -> Rope:
    """The record itself, or what an element of a stack has in common with the others.

    Anything else is a `ValueError`.
    """
    if isinstance(rope, Rope):
        return rope
    if not isinstance(rope, StackedRopes):
        way_out = (
            "; a layer without a rope is not to be rotated" if rope is None else ""
        )
        raise ValueError(
            f"rope is a {type(rope).__name__}, but must be a Rope, or an "
            f"element of stack_ropes{way_out}."
        )
    # Restored or cast, they may be of another dtype, and would turn by other angles.
    for name, dtype in (("words", np.uint32), ("attention_factor", np.float32)):
        found = getattr(rope, name).dtype
        if found != dtype:
            raise ValueError(
                f"rope.{name}.dtype={found} must be {np.dtype(dtype)}, as "
                "stack_ropes makes it; keep it from casts, and restore it as it was."
            )
    if rope.words.ndim != 2:
        raise ValueError(
            f"{rope.words.shape=} must be that of one rope, (2, pairs); "
            "scan over the stack, or select with jax.tree.map(lambda t: t[i], stack)."
        )
    return rope.settings


def check_head_axis(head_axis):
    """A `ValueError` unless the place of the head axis is known."""
    if head_axis not in HEAD_AXES:
        raise ValueError(f"{head_axis=} must be one of {HEAD_AXES}.")


def check_rotated(settings, x, head_axis, *, name="x"):
    """`x` is of real floats and has the axes and the channels that rotate."""
    float_dtype(f"{name}.dtype", x.dtype)
    check_head_axis(head_axis)
    if x.ndim < (2 if head_axis is None else 3):
        raise ValueError(
            f"{name}.shape={x.shape} must be (*batch, {_AXES[head_axis]}) for "
            f"{head_axis=}."
        )
    start = settings._first_channel(x.shape[-1])
    if start < 0 or start + settings.rotary_dim > x.shape[-1]:
        raise ValueError(
            f"{name}.shape={x.shape} must end in a head that holds the "
            f"{settings.rotary_dim} channels that rotate, with "
            f"rotary_start={settings.rotary_start!r}."
        )
    check_features(x, name)


def sequence_axis(head_axis) -> int:
    """The axis of `x` along which positions go."""
    return -3 if head_axis == -2 else -2


def shape_of_positions(settings, positions, argument="positions"):
    """`(*batch, seq_len)` of positions, without their axis of coordinates."""
    if settings.axis_of_pair is None:
        return positions.shape
    check_coordinates(argument, positions.shape, settings.num_axes)
    return positions.shape[:-1]


def check_sequence(given, shape, x, head_axis, *, name="x", one_for_all=False):
    """`shape`, `(*batch, seq_len)`, fits `x`; only its batch axes may broadcast.

    `given` is how errors call the array of that shape. `one_for_all` also admits one
    position for the whole sequence, which is no position to count from.
    """
    seq_len = x.shape[sequence_axis(head_axis)]
    of_x = f"{name}.shape={x.shape}"
    if not shape:
        raise ValueError(
            f"{given} must have a sequence axis of {seq_len}, that of "
            f"{of_x} for {head_axis=}{COUNT_FROM}."
        )
    count = shape[-1]
    if count != seq_len and not (one_for_all and count == 1):
        held = "1 position" if count == 1 else f"{count} positions"
        raise ValueError(
            f"{given} holds {held}, but {of_x} has a sequence of {seq_len} "
            f"for {head_axis=}{_way_out(count, x, head_axis)}."
        )
    batch = x.shape[: -2 if head_axis is None else -3]
    check_broadcast(
        f"{given} must broadcast to the batch axes {batch} of {of_x} for {head_axis=}.",
        shape[:-1],
        batch,
    )


def _way_out(count, x, head_axis):
    other = {-2: -3, -3: -2}.get(head_axis)
    if other is not None and x.shape[sequence_axis(other)] == count != 1:
        place = "after" if other == -2 else "before"
        return f"; if the heads stand {place} the sequence, pass head_axis={other}"
    if count == 1:
        return COUNT_FROM
    return ""
