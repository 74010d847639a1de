"""The rotation kernel, forward and backward: a JAX primitive.

A rotation that is written with `jnp.concatenate` takes XLA's CPU backend several times
as long as a copy of `x`, and the transpose that autodiff derives takes longer still.
The transpose of a rotation is the rotation by the negative angle, so one fast form
serves both directions. A primitive can express this and keeps forward mode and
batching, which `custom_vjp` and `linear_call` lose.

The kernel reads pairs in one order of channels and writes them in one, each `"half"` or
`"interleaved"`, starting at the channel `first_channel`. The other channels pass.
Turning back is a setting, not a negated `sin`: a `sin` that is negated outside the
kernel would be rounded differently from one that the compiler sees inside.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ..._dtypes import compute_dtype
from ..._sharding import equally_varying

# The orders in which the two channels of the pairs stand.
ORDERS = ("half", "interleaved")


def rotate_pairs(x, cos, sin, *, order_in, order_out, first_channel, inverse=False):
    """Rotates `x` by `cos` and `sin`, which have its rank and never enlarge it."""
    settings = {
        "order_in": order_in,
        "order_out": order_out,
        "first_channel": first_channel,
        "inverse": inverse,
    }
    return _rotate_p.bind(*equally_varying(x, cos, sin), **settings)


def _rotate(x, cos, sin, *, order_in, order_out, first_channel, inverse):
    """Rotates by the fastest form in `benchmarks --only forms`; all give equal bits."""
    dtype = compute_dtype(x.dtype)
    y, cos, sin = (t.astype(dtype) for t in (x, cos, sin))
    sin = -sin if inverse else sin
    if order_in == order_out == "half":
        y = _half(y, cos, sin, first_channel)
    elif order_in != order_out:
        y = _reordering(y, cos, sin, order_in, first_channel)
    elif jnp.finfo(x.dtype).bits >= 32:
        y = _interleaved_wide(y, cos, sin, first_channel)
    else:
        y = _interleaved_narrow(y, cos, sin, first_channel)
    return y.astype(x.dtype)


def _half(y, cos, sin, first_channel):
    pairs, width = cos.shape[-1], y.shape[-1]
    a, b = _read(y, pairs, "half", first_channel)
    first = _pad(a * cos - b * sin, first_channel, width)
    rotated = first + _pad(a * sin + b * cos, first_channel + pairs, width)
    return _elsewhere(rotated, y, first_channel, first_channel + 2 * pairs)


def _reordering(y, cos, sin, order_in, first_channel):
    """Rotates and moves interleaved pairs to halves, or back."""
    pairs, width = cos.shape[-1], y.shape[-1]
    a, b = _read(y, pairs, order_in, first_channel)
    first, second = a * cos - b * sin, a * sin + b * cos
    if order_in == "interleaved":
        rotated = _pad(first, first_channel, width) + _pad(
            second, first_channel + pairs, width
        )
    else:
        rotated = _side_by_side(first, second)
        rotated = _pad(rotated, first_channel, width)
    return _elsewhere(rotated, y, first_channel, first_channel + 2 * pairs)


def _interleaved_wide(y, cos, sin, first_channel):
    z, cos, sin, first, last = _whole_pairs(y, cos, sin, first_channel)
    of_a, of_b = jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)
    rotated = z[..., 0:1] * of_a + z[..., 1:2] * of_b
    rotated = rotated.reshape(*y.shape[:-1], 2 * z.shape[-2])
    rotated = _pad(rotated, first_channel % 2, y.shape[-1])
    return _elsewhere(rotated, y, first_channel, first_channel + 2 * (last - first))


def _interleaved_narrow(y, cos, sin, first_channel):
    # Two loops without branches: in 16 bits, the wide form would branch per element.
    z, cos, sin, first, last = _whole_pairs(y, cos, sin, first_channel)
    a, b = z[..., 0], z[..., 1]
    a_rotated = _elsewhere(a * cos - b * sin, a, first, last)
    b_rotated = _elsewhere(a * sin + b * cos, b, first, last)
    rotated = _side_by_side(a_rotated, b_rotated)
    begin, width = first_channel % 2, rotated.shape[-1]
    return _elsewhere(_pad(rotated, begin, y.shape[-1]), y, begin, begin + width)


def _whole_pairs(y, cos, sin, first_channel):
    """All of `y` as pairs, without an odd channel at either end.

    Returns the pairs, cos and sin padded to all of them, and the first and the last of
    those that turn.
    """
    begin, first = first_channel % 2, first_channel // 2
    count = (y.shape[-1] - begin) // 2
    z = y[..., begin : begin + 2 * count].reshape(*y.shape[:-1], count, 2)
    last = first + cos.shape[-1]
    return z, _pad(cos, first, count), _pad(sin, first, count), first, last


def _read(y, pairs, order, first_channel):
    """The first and the second channel of every pair."""
    y = y[..., first_channel : first_channel + 2 * pairs]
    if order == "half":
        return y[..., :pairs], y[..., pairs:]
    z = y.reshape(*y.shape[:-1], pairs, 2)
    return z[..., 0], z[..., 1]


def _side_by_side(first, second):
    """The two channels of every pair beside each other."""
    *batch, pairs = first.shape
    # Not -1: nothing can be inferred where an axis is empty.
    return jnp.stack([first, second], -1).reshape(*batch, 2 * pairs)


def _pad(x, before, width):
    """`x` at offset `before` in `width` features of -0.0, which changes no sum."""
    after = width - before - x.shape[-1]
    if before == after == 0:
        return x
    config = [(0, 0, 0)] * (x.ndim - 1) + [(before, after, 0)]
    return lax.pad(x, jnp.asarray(-0.0, x.dtype), config)


def _elsewhere(rotated, y, first_channel, stop):
    """`rotated` in the features from `first_channel` to `stop`, and `y` elsewhere."""
    if first_channel == 0 and stop == y.shape[-1]:
        return rotated
    ones = (1,) * (y.ndim - 1)
    feature = lax.broadcasted_iota(jnp.int32, (*ones, y.shape[-1]), y.ndim - 1)
    # Zeros like `y`: under an explicit mesh, `where` needs the sharding of `y`.
    feature = feature + jnp.zeros_like(y, jnp.int32)
    inside = feature < stop
    if first_channel:
        inside &= feature >= first_channel
    return jnp.where(inside, rotated, y)


def _turn(x, cos, sin, *, order_in, order_out, first_channel, inverse):
    """The rotation as a function linear in `(cos, sin)`; channels that pass are 0."""
    dtype, pairs = compute_dtype(x.dtype), cos.shape[-1]
    y, cos, sin = (t.astype(dtype) for t in (x, cos, sin))
    sin = -sin if inverse else sin
    a, b = _read(y, pairs, order_in, first_channel)
    first, second = a * cos - b * sin, a * sin + b * cos
    if order_out == "half":
        rotated = jnp.concatenate([first, second], -1)
    else:
        rotated = _side_by_side(first, second)
    return _pad(rotated, first_channel, x.shape[-1]).astype(x.dtype)


def _jvp(primals, tangents, **settings):
    x, cos, sin = primals
    dx, dcos, dsin = tangents
    out = _rotate_p.bind(x, cos, sin, **settings)
    if isinstance(dcos, ad.Zero) and isinstance(dsin, ad.Zero):
        return out, _rotate_p.bind(dx, cos, sin, **settings)
    dcos, dsin = ad.instantiate_zeros(dcos), ad.instantiate_zeros(dsin)
    dtype = compute_dtype(x.dtype)  # so that the sum of two terms is rounded once
    turned = _turn(x.astype(dtype), dcos, dsin, **settings)
    if not isinstance(dx, ad.Zero):
        turned += _rotate_p.bind(dx.astype(dtype), cos, sin, **settings)
    return out, turned.astype(x.dtype)


def _transpose(cotangent, x, cos, sin, *, order_in, order_out, first_channel, inverse):
    # Linear in `x` alone: the rule above never binds a tangent of cos or sin.
    if isinstance(cotangent, ad.Zero):
        return ad.Zero(x.aval), None, None
    settings = {
        "order_in": order_out,
        "order_out": order_in,
        "first_channel": first_channel,
        "inverse": not inverse,
    }
    return _rotate_p.bind(cotangent, cos, sin, **settings), None, None


def _batch(arrays, axes, **settings):
    size = next(
        a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None
    )
    x, cos, sin = (
        jnp.expand_dims(a, 0) if axis is None else jnp.moveaxis(a, axis, 0)
        for a, axis in zip(arrays, axes, strict=True)
    )
    if x.shape[0] != size:
        x = jnp.broadcast_to(x, (size, *x.shape[1:]))
    return _rotate_p.bind(x, cos, sin, **settings), 0


_rotate_p = Primitive("attnax_rotate")
_rotate_p.def_impl(
    jax.jit(
        _rotate, static_argnames=("order_in", "order_out", "first_channel", "inverse")
    )
)
# `x.update()` and not a new type: sharding and varying axes are part of it.
_rotate_p.def_abstract_eval(lambda x, cos, sin, **settings: x.update())
ad.primitive_jvps[_rotate_p] = _jvp
ad.primitive_transposes[_rotate_p] = _transpose
batching.primitive_batchers[_rotate_p] = _batch
mlir.register_lowering(_rotate_p, mlir.lower_fun(_rotate, multiple_results=False))
