"""Other ways to resize a table of positions to sizes that are data of the step."""

import jax.numpy as jnp

from attnax.functional._resizing.axis import dense_weights, tap_weights


def matrices(old_size, sizes, max_size, resampling):
    """Matrices that resize one axis to each of `sizes`; rows past a size are zero."""
    index, size = _rows(sizes, max_size)
    # Past the last row the weights could be 0 / 0.
    row = jnp.minimum(index, size - 1)
    weights = dense_weights(jnp, jnp.float32, row, size, old_size, resampling)
    return jnp.where((index < size)[..., None], weights, 0)


def taps(old_size, sizes, max_size, resampling):
    """Indices and weights of the rows that each row of such an axis reads."""
    index, size = _rows(sizes, max_size)
    taps, weights = tap_weights(jnp, jnp.float32, index, size, old_size, resampling)
    inside = (index < size)[..., None]
    return jnp.where(inside, taps, 0), jnp.where(inside, weights, 0)


def _rows(sizes, max_size):
    """Numbers of the rows of every image, and its size beside them."""
    shape = (*sizes.shape, max_size)
    index = jnp.broadcast_to(jnp.arange(max_size, dtype=jnp.int32), shape)
    return index, sizes[..., None]
