"""The order of sines and cosines in a row."""

import jax.numpy as jnp

LAYOUTS = ("interleaved", "sin_cos", "cos_sin")


def arrange(sin, cos, layout, width):
    """At most `width` features of sines and cosines, in the order of `layout`."""
    if layout == "interleaved":
        pairs = jnp.stack([sin, cos], axis=-1)
        # Not -1: JAX cannot infer a size where another axis is empty.
        return pairs.reshape(*sin.shape[:-1], 2 * sin.shape[-1])[..., :width]
    cos = cos[..., : width // 2]
    parts = [sin, cos] if layout == "sin_cos" else [cos, sin]
    return jnp.concatenate(parts, axis=-1)
