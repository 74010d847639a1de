"""Arrays that programs make once, before what reads them."""

import jax
import jax.numpy as jnp
from jax import lax


def held(x):
    """The array itself, in memory of its own on CPUs.

    XLA's CPU backend fuses what makes an array into every read of it, such as a gather
    for each head. A loop that copies two halves keeps it from that.
    """
    if not isinstance(x.size, int) or x.size < 2:
        return x  # a size that only the program knows cannot be halved
    return lax.platform_dependent(x, cpu=_copied, default=lambda x: x)


def zeros_like_axes(dtype, like, shape):
    """Zeros that vary along the manual axes of `like`, as carries of a loop must."""
    axes = tuple(like.manual_axis_type.varying)
    zeros = jnp.zeros(shape, dtype)
    return lax.pcast(zeros, axes, to="varying") if axes else zeros


def _copied(x):
    flat = x.reshape(-1)
    half = -(-flat.size // 2)

    def copy(n, out):
        start = n * (flat.size - half)
        part = lax.dynamic_slice_in_dim(flat, start, half)
        return lax.dynamic_update_slice_in_dim(out, part, start, 0)

    out = zeros_like_axes(flat.dtype, jax.typeof(flat), flat.shape)
    return lax.fori_loop(0, 2, copy, out).reshape(x.shape)
