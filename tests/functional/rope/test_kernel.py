"""The kernel itself, where no record or function leads: every order to every order."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, optimized

from attnax.functional._rope.kernel import rotate_pairs

ORDERS = ("half", "interleaved")
PAIRS = 3
# Width of the head and first channel: no rest, rests on either side, of every parity.
PLACES = ((6, 0), (9, 0), (7, 1), (8, 2), (11, 3), (12, 3), (13, 6))
everywhere = pytest.mark.parametrize("order_in", ORDERS)
everyway = pytest.mark.parametrize("order_out", ORDERS)


def channels(order, first_channel):
    """The channels of the first and of the second of every pair."""
    if order == "half":
        return first_channel + np.arange(PAIRS), first_channel + PAIRS + np.arange(
            PAIRS
        )
    return first_channel + 2 * np.arange(PAIRS), first_channel + 2 * np.arange(
        PAIRS
    ) + 1


def expected(x, cos, sin, order_in, order_out, first_channel):
    x, cos, sin = (np.asarray(t, np.float64) for t in (x, cos, sin))
    a, b = (x[..., c] for c in channels(order_in, first_channel))
    out = x.copy()
    first, second = channels(order_out, first_channel)
    out[..., first], out[..., second] = a * cos - b * sin, a * sin + b * cos
    return out


def arrays(dtype=jnp.float32):
    """One `x` for each place, with cos and sin that are not on the unit circle."""
    rng = np.random.default_rng(0)
    normal = lambda *shape: rng.normal(size=shape).astype(np.float32)
    xs = [normal(2, 5, 3, width).astype(dtype) for width, _ in PLACES]
    return xs, normal(2, 5, 1, PAIRS), normal(1, 5, 1, PAIRS)


def turned(xs, cos, sin, order_in, order_out):
    sin = jnp.broadcast_to(sin, cos.shape)
    return [
        rotate_pairs(
            x,
            cos,
            sin,
            order_in=order_in,
            order_out=order_out,
            first_channel=first_channel,
        )
        for x, (_, first_channel) in zip(xs, PLACES, strict=True)
    ]


turn = jax.jit(turned, static_argnames=("order_in", "order_out"))


def norm(x):
    return 1.0 + np.linalg.norm(x, axis=-1).max()


@everywhere
@everyway
def test_every_order_at_every_place(order_in, order_out):
    xs, cos, sin = arrays()
    outs = turn(xs, cos, sin, order_in, order_out)
    for x, actual, (_, first_channel) in zip(xs, outs, PLACES, strict=True):
        # Two products below 4 * |x| and their sum.
        wanted = expected(x, cos, sin, order_in, order_out, first_channel)
        magnitude = 4 * float(norm(x))
        assert_close(actual, wanted, magnitude=magnitude, roundings=2)


@optimized
@everywhere
@everyway
@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16))
def test_narrow_is_float32_rounded_once_and_the_rest_passes(order_in, order_out, dtype):
    xs, cos, sin = arrays(dtype)
    special = (-0.0, np.inf, -np.inf, float(jnp.finfo(dtype).smallest_subnormal), 0.0)
    for i, (width, first_channel) in enumerate(PLACES):
        rest = np.r_[:first_channel, first_channel + 2 * PAIRS : width]
        xs[i][..., rest] = np.resize(np.array(special, xs[i].dtype), rest.size)
    wide = turn([x.astype(np.float32) for x in xs], cos, sin, order_in, order_out)
    narrow = turn(xs, cos, sin, order_in, order_out)
    for x, n, w, (width, first_channel) in zip(xs, narrow, wide, PLACES, strict=True):
        rest = np.r_[:first_channel, first_channel + 2 * PAIRS : width]
        inside = slice(first_channel, first_channel + 2 * PAIRS)
        n, w = np.asarray(n), np.asarray(w)
        assert_same_bits(n[..., inside], w[..., inside].astype(dtype))
        assert_same_bits(n[..., rest], x[..., rest])


@everywhere
@everyway
def test_zeros_have_the_sign_of_the_formula(order_in, order_out):
    """What is added on the way to put channels in their place is -0.0."""
    xs, cos, sin = arrays()
    xs = [x * np.float32(0.0) for x in xs]
    outs = turn(xs, cos, sin, order_in, order_out)
    for x, actual, (_, first_channel) in zip(xs, outs, PLACES, strict=True):
        wanted = expected(x, cos, sin, order_in, order_out, first_channel)
        assert_same_bits(actual, wanted.astype(np.float32))


@everywhere
@everyway
def test_the_transpose_goes_back_from_order_to_order(order_in, order_out):
    """`<turn(x), g> = <x, transpose(g)>`, in the same form the other way round."""
    xs, cos, sin = arrays()
    function = lambda xs: turned(xs, cos, sin, order_in, order_out)
    gs = [x[::-1] for x in xs]
    (actual,) = jax.jit(lambda gs: jax.linear_transpose(function, xs)(gs))(gs)
    for a, e in zip(actual, turn(gs, cos, -sin, order_out, order_in), strict=True):
        assert_same_bits(a, e)


@everywhere
@everyway
def test_tangents_of_cos_and_sin(order_in, order_out):
    """They move the channels that rotate, and no other."""
    xs, cos, sin = arrays()
    dcos, dsin = cos[::-1], -cos

    @jax.jit
    def tangent(cos, sin, dcos, dsin):
        function = lambda cos, sin: turned(xs, cos, sin, order_in, order_out)
        return jax.jvp(function, (cos, sin), (dcos, dsin))[1]

    sin = np.broadcast_to(sin, cos.shape)
    for x, actual, (width, first_channel) in zip(
        xs, tangent(cos, sin, dcos, dsin), PLACES, strict=True
    ):
        wanted = expected(x, dcos, dsin, order_in, order_out, first_channel)
        wanted[..., np.r_[:first_channel, first_channel + 2 * PAIRS : width]] = 0.0
        assert_close(actual, wanted, magnitude=4 * float(norm(x)), roundings=2)
