"""Parameters whose shapes a record tells: drawing them, and checking them."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import float_array
from ...._dtypes import compute_dtype


def draw_normal(key, shape, init_std, dtype):
    """Numbers from a normal distribution, rounded once."""
    drawn = jax.random.normal(key, shape, compute_dtype(dtype))
    return (init_std * drawn).astype(dtype)


def draw(key, shapes, init_std, dtype):
    """Arrays of `shapes`, by name, like `draw_normal`."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    # One draw, which compiles in a fraction of the time of several.
    drawn = draw_normal(key, (sum(sizes),), init_std, dtype)
    parts = jnp.split(drawn, np.cumsum(sizes)[:-1])
    return {
        name: part.reshape(shape)
        for part, (name, shape) in zip(parts, shapes.items(), strict=True)
    }


def check_shapes(params, shapes, argument="params", of="the bias") -> None:
    """Raises unless the fields of `params` that `shapes` names have these shapes.

    A shape of `None` stands for a field that must be `None`. `of` is what the shapes
    follow from.
    """
    for field, shape in shapes.items():
        name, array = f"{argument}.{field}", getattr(params, field)
        if shape is None:
            if array is not None:
                raise ValueError(f"{name} must be None: {of} does not read it.")
            continue
        array = float_array(name, array)
        if array.shape != shape:
            raise ValueError(
                f"{name}.shape={array.shape} must be {shape}, as the sizes of {of} "
                "tell."
            )
