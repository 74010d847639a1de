"""Tables of normal numbers, drawn shard by shard, some rows of which are zeros."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from ..._dtypes import compute_dtype


def drawn_table(key, shape, *, init_std, dtype, zero_rows=None, out_sharding=None):
    """A table from a normal distribution of mean 0, drawn wide and rounded once.

    The rows in `zero_rows`, `(first, end)`, are zeros.
    """
    draw = partial(
        _draw,
        shape=shape,
        init_std=init_std,
        dtype=dtype,
        zero_rows=zero_rows,
        out_sharding=out_sharding,
    )
    if out_sharding is not None:
        # Compiled for that sharding, so that no device ever holds the whole table.
        draw = jax.jit(draw, out_shardings=out_sharding)
    return draw(key)


def _draw(key, *, shape, init_std, dtype, zero_rows, out_sharding):
    if out_sharding is not None and not out_sharding.mesh.abstract_mesh.explicit_axes:
        out_sharding = None  # the compiler spreads the draw
    drawn = jax.random.normal(
        key, shape, compute_dtype(dtype), out_sharding=out_sharding
    )
    # Without the barrier, XLA merges `init_std` into a factor of the draw on some
    # meshes only.
    weight = init_std * lax.optimization_barrier(drawn)
    if zero_rows is not None:
        first, end = zero_rows
        row = lax.broadcasted_iota(jnp.int32, shape, 0, out_sharding=out_sharding)
        is_zero = (row >= first) & (row < end)
        weight = jnp.where(is_zero, jnp.zeros_like(weight), weight)
    return weight.astype(dtype)
