"""Distances of boxes on a page, in whole steps."""

import jax
import jax.numpy as jnp
import numpy as np

from ...._dtypes import compute_dtype
from ..core.distances import int32_distance, saturated_floats, saturating_difference


def center(low, high):
    """The middle of two sides of boxes: of integers in float32, or in their dtype."""
    low, high = (_as_floats(side) for side in (low, high))
    return (low + high) / low.dtype.type(2)


def steps_between(q, k, scale):
    """The distance `(k - q) * scale` as int32, rounded toward 0.

    Integers are exact where `scale` is 1. The difference of floats is rounded to
    float32, and so is its product, because a bucket may depend on these roundings.
    """
    if scale == 1 and all(jnp.issubdtype(x.dtype, jnp.integer) for x in (q, k)):
        q, k = (int32_distance("boxes", x) for x in (q, k))
        return saturating_difference(k, q)
    q, k = _as_floats(q), _as_floats(k)
    known = isinstance(q, np.ndarray) and isinstance(k, np.ndarray)
    if not known:
        dtype = compute_dtype(q.dtype, k.dtype)
        q, k = jnp.asarray(q, dtype), jnp.asarray(k, dtype)
    xp = np if known else jnp
    steps = (k - q).astype(np.float32) * np.float32(scale)
    return saturated_floats(xp.trunc(steps), xp)


def is_wider_than_jax(x) -> bool:
    """Whether JAX would round these numbers, float64 of NumPy outside 64-bit mode."""
    if not isinstance(x, np.ndarray):
        return False
    return jax.dtypes.canonicalize_dtype(x.dtype) != x.dtype and x.dtype.kind == "f"


def _as_floats(x):
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(np.float32)
