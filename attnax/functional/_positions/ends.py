"""Where spans that stand one after another end."""

import jax.numpy as jnp
from jax import lax


def ends_of(lengths, limit):
    """The end of each span of `lengths` in int32, at most `limit`.

    The lengths lie in `[0, limit]`, and `limit` is below 2**31.
    """
    lengths = lengths.astype(jnp.uint32)
    sums = jnp.cumsum(lengths, axis=-1, dtype=jnp.uint32)
    # The first sum beyond `limit` is at most twice as large, so it does not wrap. Later
    # sums may wrap.
    beyond = lax.cummax((sums > limit).astype(jnp.int32), axis=lengths.ndim - 1)
    return jnp.where(beyond == 0, sums, limit).astype(jnp.int32)
