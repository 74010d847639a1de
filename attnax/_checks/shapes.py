"""Shapes: axes that must be there or not be sharded, widths, and broadcasting."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def check_axes(name: str, array, *axes: str) -> None:
    """Raises unless `array` has at least the last `axes`, which the error names."""
    if array.ndim < len(axes):
        shape = tuple(array.shape)
        raise ValueError(f"{name}.{shape=} must be (..., {', '.join(axes)}).")


def check_one_per_token(name: str, shape, wanted, what: str, hint: str = "") -> None:
    """Raises unless an array of `shape` has one entry per token of `wanted`.

    `wanted` is `(*batch, seq_len)` of `what`. Batch axes broadcast, and `hint` is the
    way out for one number where each token needs its own.
    """
    if shape[-1:] != wanted[-1:] or not broadcasts_to(shape, wanted):
        hint = hint if shape[-1:] in ((), (1,)) else ""
        raise ValueError(
            f"{name}.shape={tuple(shape)} must broadcast to {wanted}, {what}{hint}."
        )


def check_width(name: str, array, table_name: str, table) -> None:
    """Raises unless the last axis of `array` is as long as that of `table`."""
    if array.shape[-1:] != table.shape[-1:]:
        raise ValueError(
            f"{name}.shape={array.shape} must end in the width of "
            f"{table_name}.shape={table.shape}."
        )


def check_not_sharded(name: str, array, num_axes: int, hint: str) -> None:
    """Raises if one of the last `num_axes` of `array` is sharded over an explicit axis.

    `hint` is the way out.
    """
    if isinstance(array, np.ndarray):
        return
    spec = jax.typeof(array).sharding.spec
    if any(axis is not None for axis in spec[-num_axes:]):
        axes = "axis" if num_axes == 1 else f"{num_axes} axes"
        verb = "has" if num_axes == 1 else "have"
        raise ValueError(
            f"the last {axes} of {name} {verb} {spec=}, but must not be sharded; "
            f"{hint}."
        )


def broadcast_batches(batches) -> tuple[Any, ...]:
    """The batch axes of several arrays together, whose batch axes stand by names."""
    try:
        return jnp.broadcast_shapes(*batches.values())
    except ValueError:
        *first, last = (f"{name} with batch axes {b}" for name, b in batches.items())
        raise ValueError(f"{', '.join(first)} and {last} must broadcast.") from None


def broadcasts_to(shape, wanted) -> bool:
    """Whether an array of `shape` broadcasts to `wanted` without enlarging it."""
    pairs = zip(reversed(shape), reversed(wanted), strict=False)
    return len(shape) <= len(wanted) and all(n in (1, m) for n, m in pairs)
