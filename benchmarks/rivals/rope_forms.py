"""Forms of one rotation: `(a cos - b sin, a sin + b cos)` of pairs of channels.

All calculate in float32 and round once; `cos` and `sin` are float32 and of the rank of
`x`. Leading axes are free.
"""

import jax.numpy as jnp
from jax import lax

TILE = 32  # pairs, of which XLA's CPU backend unrolls the loop


def pad_and_add(x, cos, sin, layout):
    """Both channels of the pairs stand in zeros, and the two are added."""
    first, second = _turned(x, cos, sin, layout)
    pairs = cos.shape[-1]
    ends = (0, pairs, 0) if layout == "half" else (0, 1, 1)
    padded = [
        lax.pad(part, jnp.float32(-0.0), [(0, 0, 0)] * (x.ndim - 1) + [config])
        for part, config in ((first, ends), (second, (ends[1], 0, ends[2])))
    ]
    return (padded[0] + padded[1]).astype(x.dtype)


def stack(x, cos, sin, layout):
    """Both channels of the pairs are stacked on an axis of two."""
    parts = _turned(x, cos, sin, layout)
    return jnp.stack(parts, _axis(layout)).reshape(x.shape).astype(x.dtype)


def concatenation(x, cos, sin, layout):
    """The halves are concatenated in float32; interleaved pairs have the stack."""
    return jnp.concatenate(_turned(x, cos, sin, layout), axis=-1).astype(x.dtype)


def broadcast(x, cos, sin, layout):
    """Each channel of a pair times a table of both channels, and the two are added."""
    axis = _axis(layout)
    a, b = (jnp.expand_dims(part, axis) for part in _pairs(x, layout))
    of_a, of_b = jnp.stack([cos, sin], axis), jnp.stack([-sin, cos], axis)
    return (a * of_a + b * of_b).reshape(x.shape).astype(x.dtype)


def stack_of_tiles(x, cos, sin, layout):
    """The stack of interleaved pairs, in loops of `TILE` pairs."""
    tiles = lambda t: t.reshape(*t.shape[:-1], -1, min(TILE, cos.shape[-1]))
    a, b = map(tiles, _pairs(x, layout))
    cos, sin = tiles(cos), tiles(sin)
    turned = jnp.stack([a * cos - b * sin, a * sin + b * cos], axis=-1)
    return turned.reshape(x.shape).astype(x.dtype)


def stack_of_words(x, cos, sin, layout):
    """The stack of bfloat16 as 16-bit words, rounded in integers.

    It lacks the choice of NaN that a conversion makes for every number.
    """
    words = lax.bitcast_convert_type(x, jnp.uint16)
    wide = words.astype(jnp.uint32) << 16
    y = lax.bitcast_convert_type(wide, jnp.float32)
    rounded = [_to_words(part) for part in _turned(y, cos, sin, layout)]
    joined = jnp.stack(rounded, _axis(layout)).reshape(x.shape)
    return lax.bitcast_convert_type(joined, jnp.bfloat16)


def _to_words(y):
    """Rounds to nearest, ties to even."""
    bits = lax.bitcast_convert_type(y, jnp.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(jnp.uint16)


def _axis(layout):
    """Returns the axis of the two channels of a pair once the pairs have an axis."""
    return -2 if layout == "half" else -1


def _pairs(x, layout):
    """The first and the second channel of every pair, in float32."""
    # Cast before the slice: XLA wraps slices of bfloat16 in conversions.
    sizes = (2, -1) if layout == "half" else (-1, 2)
    y = x.astype(jnp.float32).reshape(*x.shape[:-1], *sizes)
    return (lax.index_in_dim(y, i, _axis(layout), keepdims=False) for i in (0, 1))


def _turned(x, cos, sin, layout):
    a, b = _pairs(x, layout)
    return a * cos - b * sin, a * sin + b * cos
