"""Checks that a rope, the array that it rotates and the positions fit each other."""

from ..._checks import (
    COUNT_FROM,
    broadcasts_to,
    check_not_sharded,
    float_array,
    is_integer,
    positive_multiple,
)
from .._angles.axes import check_coordinates

_AXES = {
    -2: "seq_len, num_heads, head_dim",
    -3: "num_heads, seq_len, head_dim",
    None: "seq_len, head_dim",
}


def check_head_axis(head_axis) -> None:
    """A `ValueError` unless `head_axis` is -2, -3 or `None`."""
    known = head_axis is None or (is_integer(head_axis) and head_axis in (-2, -3))
    if not known:
        raise ValueError(f"{head_axis=} must be -2, -3 or None.")


def rotating_channels(rotary_dim, head_dim) -> int:
    """A positive and even `rotary_dim` of at most `head_dim`, as an int."""
    rotary_dim = positive_multiple("rotary_dim", rotary_dim, 2)
    if rotary_dim > head_dim:
        raise ValueError(f"{rotary_dim=} must be at most {head_dim=}.")
    return rotary_dim


def check_rotated(settings, x, head_axis, *, argument="x") -> None:
    """Raises unless `x` is of real floats and has the axes and channels that rotate."""
    check_head_axis(head_axis)
    float_array(argument, x)
    if x.ndim < (2 if head_axis is None else 3):
        raise ValueError(
            f"{argument}.shape={x.shape} must be (*batch, {_AXES[head_axis]}) for "
            f"{head_axis=}."
        )
    if not settings._fits(x.shape[-1]):
        raise ValueError(
            f"{argument}.shape={x.shape} must end in a head that holds the "
            f"{settings.rotary_dim} channels that rotate, with "
            f"rotary_start={settings.rotary_start!r}."
        )
    check_features(argument, x)


def check_cos_sin(cos, sin) -> None:
    """Raises unless `cos` and `sin` are real floats of one shape, with features."""
    float_array("cos", cos)
    float_array("sin", sin)
    if cos.shape != sin.shape:
        raise ValueError(f"{cos.shape=} must equal {sin.shape=}.")
    if cos.ndim == 0 or cos.shape[-1] == 0:
        raise ValueError(f"{cos.shape=} must have features.")


def check_features(argument, x) -> None:
    """Raises if the features of a head are sharded."""
    hint = "shard the heads, or gather the features with jax.reshard"
    check_not_sharded(argument, x, 1, hint)


def sequence_axis(head_axis) -> int:
    """The axis of `x` along which positions go."""
    return -3 if head_axis == -2 else -2


def shape_of_positions(settings, positions, argument="positions"):
    """`(*batch, seq_len)` of positions, without their axis of coordinates."""
    if settings.axis_of_pair is None:
        return positions.shape
    check_coordinates(argument, positions.shape, settings.num_axes)
    return positions.shape[:-1]


def check_sequence(
    given, shape, x, head_axis, *, argument="x", one_for_all=False
) -> None:
    """Raises unless `shape`, `(*batch, seq_len)`, fits `x`; only its batch broadcasts.

    Errors call the array of that shape `given`, and `x` `argument`. `one_for_all` also
    admits one number for the whole sequence.
    """
    seq_len = x.shape[sequence_axis(head_axis)]
    of_x = f"{argument}.shape={x.shape}"
    if not shape:
        raise ValueError(
            f"{given} must have a sequence axis of {seq_len}, that of "
            f"{of_x} for {head_axis=}{COUNT_FROM}."
        )
    batch = x.shape[: -2 if head_axis is None else -3]
    count = shape[-1]
    if count != seq_len and not (one_for_all and count == 1):
        held = "1 position" if count == 1 else f"{count} positions"
        raise ValueError(
            f"{given} holds {held}, but {of_x} has a sequence of {seq_len} "
            f"for {head_axis=}{_way_out(count, seq_len, batch, x, head_axis)}."
        )
    if not broadcasts_to(shape[:-1], batch):
        raise ValueError(
            f"{given} must broadcast to the batch axes {batch} of {of_x} for "
            f"{head_axis=}."
        )


def _way_out(count, seq_len, batch, x, head_axis):
    if count == 1:
        return COUNT_FROM
    ways = ""
    other = {-2: -3, -3: -2}.get(head_axis)
    if other is not None and x.shape[sequence_axis(other)] == count:
        place = "after" if other == -2 else "before"
        ways += f"; if the heads stand {place} the sequence, pass head_axis={other}"
    if seq_len == 1 and batch[-1:] == (count,):
        ways += f"; one position for each sequence has the shape {(count, 1)}"
    return ways
