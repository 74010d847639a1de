"""Products of queries with a key for tokens of one segment and one for others."""

import jax.numpy as jnp


def segment_products(x, keys, q, k, class_segment, precision):
    """Products `(*batch, num_heads, q_len, k_len)` with the key of each pair.

    `x` is `(*batch, num_heads, q_len, head_dim)` and `keys` are
    `(2, num_heads, head_dim)`: the first for pairs of one segment. The class segment is
    one with every other. `q.segments` and `k.segments` are those of the tokens.
    """
    products = jnp.einsum("...hqd,shd->...hqs", x, keys, precision=precision)
    q_segments = q.segments.astype(jnp.int32)[..., :, None]
    k_segments = k.segments.astype(jnp.int32)[..., None, :]
    same = q_segments == k_segments
    if class_segment is not None:
        same = same | (q_segments == class_segment) | (k_segments == class_segment)
    return jnp.where(same[..., None, :, :], products[..., :1], products[..., 1:])
