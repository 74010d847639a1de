"""Angles as float32 products, for learned frequencies and fractional positions."""

import jax.numpy as jnp

from .once import pinned, zeros_per_pair


def product_cos_sin(positions, inv_freq):
    """Cos and sin of `positions` times `inv_freq[0]`, broadcast against each other."""
    return pinned(_cos_sin_of_product, zeros_per_pair, positions, inv_freq)


def _cos_sin_of_product(positions, inv_freq):
    angle = positions * inv_freq[0]
    return jnp.cos(angle), jnp.sin(angle)
