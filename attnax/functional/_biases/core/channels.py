"""Extra channels of queries and keys whose products are a bias.

A kernel multiplies the scores with its scale and holds queries and keys in its dtype.
Channels of queries are therefore divided by the scale, and what the dtype does not hold
is split into pieces that it does hold.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import lax

from .distances import of_rank


class Kernel(NamedTuple):
    """The attention kernel that channels are made for.

    Attributes:
        scale: The factor of the kernel on its scores, as float32 holds it.
        dtype: The dtype of its queries and keys.
        causal: Whether its mask hides the keys after each query.
        pieces: How many numbers of `dtype` stand for one number of a channel; `None`
            leaves it to the scheme.
    """

    scale: float
    dtype: np.dtype
    causal: bool
    pieces: int | None


def product_channels(q, k, kernel, *, exact_keys=False):
    """The channels of queries and keys for a bias that is the product of `q` and `k`.

    `q` is `(*batch, num_heads, q_len, width)` and `k` is
    `(*batch, num_heads or 1, k_len, width)`, in float32 or wider; the bias is the sum
    over the width, and does not contain the scale of the kernel. `exact_keys` says that
    the dtype holds `k`, so that only `q` is split into pieces.
    """
    count = kernel.pieces or 1
    q = jnp.asarray(q)
    of_q = pieces_of(q / q.dtype.type(kernel.scale), kernel.dtype, count)
    of_k = [k.astype(kernel.dtype)]
    if not exact_keys:
        of_k = pieces_of(k, kernel.dtype, count)
    # Products of two small pieces are smaller than the rounding of what is kept.
    kept = [
        (a, b) for i, a in enumerate(of_q) for j, b in enumerate(of_k) if i + j < count
    ]
    of_q, of_k = zip(*kept, strict=True)
    return jnp.concatenate(of_q, -1), jnp.concatenate(of_k, -1)


def pieces_of(x, dtype, count):
    """At most `count` arrays of `dtype` whose sum is `x`, as far as they reach."""
    x, info = jnp.asarray(x), jnp.finfo(dtype)
    if info.bits >= jnp.finfo(x.dtype).bits:
        return [x.astype(dtype)]
    pieces = []
    for _ in range(count - 1):
        # A cast there and back would be dropped: XLA may keep the wider number.
        piece = lax.reduce_precision(x, info.nexp, info.nmant)
        pieces.append(piece.astype(dtype))
        x = x - piece
    # The cast keeps subnormal numbers of float16, which the reduction makes zero.
    return [*pieces, x.astype(dtype)]


def side_by_side(channels):
    """Channels `(*batch, num_heads or 1, len, width)` as one array."""
    rank = max(x.ndim for x in channels)
    channels = [of_rank(x, rank) for x in channels]
    shape = jnp.broadcast_shapes(*(x.shape[:-1] for x in channels))
    return jnp.concatenate(
        [jnp.broadcast_to(x, (*shape, x.shape[-1])) for x in channels], -1
    )
