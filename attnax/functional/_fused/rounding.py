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
    return lax.reduce_precision(x, info.nexp, info.nmant)


@rounded_to.defjvp
def _rounded_to_jvp(dtype, primals, tangents):
    return rounded_to(primals[0], dtype), tangents[0]
