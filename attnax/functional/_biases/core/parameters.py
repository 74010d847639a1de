"""Parameters whose shapes a record tells: drawing them, and checking them."""

import jax

from ...._checks import float_array
from ...._dtypes import compute_dtype


def draw(key, shapes, init_std, dtype):
    """Arrays of `shapes`, by name, from a normal distribution, rounded once."""
    keys = jax.random.split(key, len(shapes))
    wide = compute_dtype(dtype)
    return {
        name: (init_std * jax.random.normal(one, shape, wide)).astype(dtype)
        for one, (name, shape) in zip(keys, shapes.items(), strict=True)
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
