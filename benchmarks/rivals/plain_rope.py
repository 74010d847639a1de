"""Rotary positions as most code has them."""

import jax.numpy as jnp


def of_a_product(positions, inv_freq):
    """Cos and sin of a float32 product, whose error grows with the position."""
    angle = positions.astype(jnp.float32)[:, None] * inv_freq
    return jnp.cos(angle), jnp.sin(angle)


def concatenation(x, cos, sin, layout, start=0):
    """Rotates as most code does, in the dtype of `x`, whatever cos and sin have."""
    cos, sin, stop = cos.astype(x.dtype), sin.astype(x.dtype), start + 2 * cos.shape[-1]
    turning = x[..., start:stop]
    if layout == "half":
        a, b = jnp.split(turning, 2, axis=-1)
        turned = jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)
    else:
        a, b = turning[..., 0::2], turning[..., 1::2]
        turned = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)
        turned = turned.reshape(turning.shape)
    parts = (x[..., :start], turned, x[..., stop:])
    return jnp.concatenate([part for part in parts if part.shape[-1]], axis=-1)
