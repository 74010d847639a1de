"""The forms of a rope: a record, an element of a stack, and a rope for each row."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np

from ..._checks import any_array, broadcasts_to, type_of
from .by_length import RopePerRow
from .record import Rope, check_rope
from .stack import StackedRopes


def rope_settings(rope) -> Rope:
    """The record itself, or the settings that ropes of other forms share.

    Anything else is a `ValueError`.
    """
    if isinstance(rope, Rope):
        return rope
    if not isinstance(rope, StackedRopes | RopePerRow):
        way_out = "; do not rotate a layer without a rope" if rope is None else ""
        raise ValueError(
            f"rope is {type_of(rope)}, but must be a Rope, an element of stack_ropes "
            f"or the result of rope_by_length{way_out}."
        )
    check_rope("rope.settings", rope.settings)
    rows = batch_of(rope)
    shape = *rows, 2, rope.settings.rotary_pairs
    _check_array(rope, "words", np.uint32, shape)
    _check_array(rope, "attention_factor", np.float32, rows)
    return rope.settings


def batch_of(rope) -> tuple[Any, ...]:
    """The batch axes of a rope for each row; none for other forms."""
    if not isinstance(rope, RopePerRow):
        return ()
    return any_array("rope.words", rope.words).shape[:-2]


def check_batch(rope, x, head_axis, *, argument="x") -> None:
    """Raises unless the ropes of rows fit the batch axes of `x`."""
    rows, batch = batch_of(rope), x.shape[: -2 if head_axis is None else -3]
    if not broadcasts_to(rows, batch):
        raise ValueError(
            f"rope has one rope for each row of {rows}, which must broadcast to the "
            f"batch axes {batch} of {argument}.shape={x.shape} for {head_axis=}."
        )


def without_factor(rope):
    """A rope with an attention factor of 1; NaN stays NaN."""
    if isinstance(rope, Rope):
        return dataclasses.replace(rope, attention_factor=1.0)
    factor = rope.attention_factor
    ones = jnp.ones_like(factor)
    if isinstance(rope, RopePerRow):
        ones = jnp.where(jnp.isnan(factor), factor, ones)
    return rope._replace(attention_factor=ones)


def _check_array(rope, field, dtype, shape):
    """Raises unless an array is as the function that makes the form makes it."""
    array = getattr(rope, field)
    # NumPy's own scalars are what an element of an array of NumPy is.
    if not isinstance(array, np.generic):
        array = any_array(f"rope.{field}", array)
    is_stack = isinstance(rope, StackedRopes)
    maker = "stack_ropes" if is_stack else "rope_by_length"
    # A stack that was restored or cast may have other dtypes, and other angles then.
    if array.dtype != dtype:
        raise ValueError(
            f"rope.{field}.dtype={array.dtype} must be {np.dtype(dtype)}, as "
            f"{maker} makes it; keep it from casts, and restore it as it was."
        )
    if array.shape != shape:
        way_out = (
            "that of one rope; scan over the stack, or select with "
            "jax.tree.map(lambda t: t[i], stack)"
            if is_stack
            else "as rope_by_length makes it"
        )
        raise ValueError(
            f"rope.{field}.shape={array.shape} must be {shape}, {way_out}."
        )
