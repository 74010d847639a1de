"""Copies of an array whose gradients are added up in pairs."""

import jax.numpy as jnp


def copies_of(x, count):
    """`count` copies of `x`, doubled again and again.

    The transpose adds them up in pairs, and the pairs in pairs. That of a broadcast
    adds them up one after another.
    """
    copies = x[None]
    while len(copies) < count:
        copies = jnp.concatenate([copies, copies])
    return copies[:count]
