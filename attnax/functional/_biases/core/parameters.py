"""Parameters whose shapes a record tells: drawing them, and checking them."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import float_array
from ...._dtypes import compute_dtype


def draw(key, shapes, init_std, dtype):
    """Arrays of `shapes`, by name, from a normal distribution, rounded once."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    # One draw, which compiles in a fraction of the time of several.
    drawn = jax.random.normal(key, (sum(sizes),), compute_dtype(dtype))
    parts = jnp.split((init_std * drawn).astype(dtype), np.cumsum(sizes)[:-1])
    return {
        name: part.reshape(shape)
        for part, (name, shape) in zip(parts, shapes.items(), strict=True)
    }


def check_shapes(params, shapes) -> None:
    """Raises unless the fields of `params` that `shapes` names have these shapes."""
    for name, shape in shapes.items():
        array = float_array(f"params.{name}", getattr(params, name))
        if array.shape != shape:
            raise ValueError(
                f"params.{name}.shape={array.shape} must be {shape}, as the sizes of "
                "the bias tell."
            )
