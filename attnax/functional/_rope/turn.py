"""Turning the channels of heads by cos and sin that fit."""

import jax.numpy as jnp
import numpy as np

from .kernel import rotate_pairs


def turned(rope, settings, x, cos, sin, head_axis, *, inverse=False):
    """`x` rotated by the cos and sin of `rope`, or turned back.

    `settings` are those of `rope`, which may be an element of a stack.
    """
    order_in, order_out = settings._order_in, settings._order_out
    if inverse:
        order_in, order_out = order_out, order_in
        # Cos and sin hold the attention factor, and turning back divides by it.
        cos, sin = _over_square(cos, sin, rope.attention_factor)
    return turned_in_order(
        settings, x, cos, sin, head_axis, order_in, order_out, inverse=inverse
    )


def turned_in_order(
    settings, x, cos, sin, head_axis, order_in, order_out, *, inverse=False
):
    """`x` rotated, with pairs read in one order of channels and written in another."""
    if head_axis is not None:
        cos, sin = (jnp.expand_dims(t, head_axis) for t in (cos, sin))
    cos, sin = of_rank(x.ndim, cos, sin)
    first_channel = settings._first_channel(x.shape[-1])
    if settings.num_blocks > 1:
        return _turned_blocks(x, cos, sin, settings, first_channel, inverse)
    return rotate_pairs(
        x,
        cos,
        sin,
        order_in=order_in,
        order_out=order_out,
        first_channel=first_channel,
        inverse=inverse,
    )


def of_rank(rank, cos, sin):
    """`cos` and `sin` with axes of size 1 in front, up to so many axes."""
    ones = (1,) * (rank - cos.ndim)
    return jnp.reshape(cos, (*ones, *cos.shape)), jnp.reshape(sin, (*ones, *sin.shape))


def _turned_blocks(x, cos, sin, settings, first_channel, inverse):
    """`x` rotated in halves within each block, for which blocks become an axis."""
    stop, blocks = first_channel + settings.rotary_dim, settings.num_blocks
    split = lambda t: t.reshape(*t.shape[:-1], blocks, t.shape[-1] // blocks)
    rotated = rotate_pairs(
        *(split(t) for t in (x[..., first_channel:stop], cos, sin)),
        order_in="half",
        order_out="half",
        first_channel=0,
        inverse=inverse,
    )
    rotated = rotated.reshape(*x.shape[:-1], stop - first_channel)
    if rotated.shape == x.shape:
        return rotated
    return jnp.concatenate([x[..., :first_channel], rotated, x[..., stop:]], axis=-1)


def _over_square(cos, sin, factor):
    """Cos and sin over the square of a factor, or of one factor for each row."""
    if isinstance(factor, float):  # static: rounded once
        scale = np.float32(factor**-2)
    else:
        scale = 1.0 / factor**2
        if scale.ndim:
            rank = max(cos.ndim, scale.ndim + 2)
            cos, sin = of_rank(rank, cos, sin)
            ones = (1,) * (rank - scale.ndim - 2)
            scale = scale.reshape(*ones, *scale.shape, 1, 1)
    return cos * scale, sin * scale
