"""Steps of float32 arithmetic that are rounded as 16-bit arithmetic rounds them."""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax


# XLA may leave out a cast to 16 bits and back, but not this. The tangent is not
# rounded: a gradient is added up in the wide dtype.
@partial(jax.custom_jvp, nondiff_argnums=(1,))
def rounded_to(x, dtype):
    """`x` in its own dtype, with the values that `dtype` holds; `None` leaves it."""
    if dtype is None or jnp.finfo(dtype).bits >= jnp.finfo(x.dtype).bits:
        return x
    info = jnp.finfo(dtype)
    rounded = lax.reduce_precision(x, info.nexp, info.nmant)
    if info.nexp == jnp.finfo(x.dtype).nexp:
        return rounded
    # `reduce_precision` makes zeros of numbers that are subnormal in the narrow dtype:
    # there they are multiples of the least one. That is a power of two.
    least = float(info.smallest_subnormal)
    multiples = lax.round(x / least, lax.RoundingMethod.TO_NEAREST_EVEN) * least
    return jnp.where(jnp.abs(x) < float(info.smallest_normal), multiples, rounded)


def step_dtype(dtype, argument):
    """A dtype to which steps can be rounded: 16 bits or more.

    8-bit floats overflow each in their own way, and no released model adds them.
    """
    if jnp.finfo(dtype).bits < 16:
        raise ValueError(f"{argument}={dtype.name} must have 16 bits or more.")
    return dtype


@rounded_to.defjvp
def _rounded_to_jvp(dtype, primals, tangents):
    return rounded_to(primals[0], dtype), tangents[0]
