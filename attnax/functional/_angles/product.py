"""Angles as float32 products, for learned frequencies and fractional positions."""

import jax.numpy as jnp

from ..._checks import int32_in_range, number_array
from .once import pinned, zeros_per_pair


def float32_positions(argument, positions):
    """Positions in float32, and a mask of those in int32 or `None` for all."""
    positions, valid = number_array(argument, positions), None
    if jnp.issubdtype(positions.dtype, jnp.integer):
        positions, valid = int32_in_range(argument, positions)
    return jnp.asarray(positions, jnp.float32), valid


def product_cos_sin(positions, inv_freq):
    """Cos and sin of `positions` times `inv_freq[0]`, broadcast against each other."""
    return pinned(_cos_sin_of_product, zeros_per_pair, positions, inv_freq)


def _cos_sin_of_product(positions, inv_freq):
    angle = positions * inv_freq[0]
    return jnp.cos(angle), jnp.sin(angle)
