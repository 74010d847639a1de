"""The rotation, at the speed of memory, forward and backward, as a JAX primitive.

Written with `jnp.concatenate`, XLA's CPU backend takes several times as long as a copy
of `x`, and longer for the transpose that autodiff derives. The transpose of a rotation
is the rotation by the negative angle, so one fast form serves both ways. A primitive
can say so, and keeps forward mode and batching, which `custom_vjp` and `linear_call`
lose.
"""

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from .._dtypes import compute_dtype, float_dtype


def apply_rope(
    x: Float[Array, "*batch head_dim"],
    cos: Float[Array, "*#batch_of_cos rotary_pairs"],
    sin: Float[Array, "*#batch_of_cos rotary_pairs"],
    *,
    layout: str = "half",
) -> Float[Array, "*batch head_dim"]:
    """Rotates pairs of features: `(a cos - b sin, a sin + b cos)`.

    Args:
        x: Queries or keys. The last axis holds `head_dim` features.
        cos: Cosines, `rotary_pairs` on the last axis; the axes before it broadcast
            against those of `x` by NumPy's rules but never enlarge it. Insert the head
            axis yourself: `cos[..., None, :]` for `(..., seq_len, num_heads, head_dim)`
            and `cos[..., None, :, :]` for `(..., num_heads, seq_len, head_dim)`.
        sin: Sines, the shape of `cos`.
        layout: Which features form pair `i`: `i` and `i + rotary_pairs` (`"half"`:
            GPT-NeoX, Llama as Hugging Face stores it), or `2 i` and `2 i + 1`
            (`"interleaved"`: GPT-J, Llama as Meta stores it).

    Returns:
        The shape and dtype of `x`. Arithmetic is in float32 (float64 for float64 `x`)
        and rounded once. Features past `2 * rotary_pairs` are those of `x`, bit for
        bit.

    Raises:
        ValueError: If `layout` is unknown, a dtype is not a real float, `cos` and `sin`
            differ in shape, are empty, do not broadcast or are wider than half of `x`,
            or `head_dim` is sharded.

    Example:
        >>> cos, sin = rope_cos_sin_table(3, 4)
        >>> apply_rope(jnp.ones((3, 2, 4)), cos[:, None, :], sin[:, None, :]).shape
        (3, 2, 4)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """
    if layout not in ("half", "interleaved"):
        raise ValueError(f"apply_rope: {layout=} must be 'half' or 'interleaved'.")
    _check_shapes(x, cos, sin)
    ones = (1,) * (x.ndim - cos.ndim)
    cos, sin = (jnp.reshape(t, (*ones, *t.shape)) for t in (cos, sin))
    return _rotate_p.bind(*_equally_varying(x, cos, sin), layout=layout)


def _check_shapes(x, cos, sin):
    for name, array in (("x", x), ("cos", cos), ("sin", sin)):
        float_dtype("apply_rope", f"{name}.dtype", array.dtype)
    if cos.shape != sin.shape:
        raise ValueError(f"apply_rope: {cos.shape=} must equal {sin.shape=}.")
    if x.ndim == 0 or cos.ndim == 0 or cos.shape[-1] == 0:
        raise ValueError(f"apply_rope: {x.shape=}, {cos.shape=} must have features.")
    if 2 * cos.shape[-1] > x.shape[-1]:
        raise ValueError(
            f"apply_rope: {cos.shape=} must hold at most half the features of "
            f"{x.shape=}; if it holds every angle twice, pass cos[..., :head_dim // 2]."
        )
    axes = zip(reversed(cos.shape[:-1]), reversed(x.shape[:-1]), strict=False)
    if cos.ndim > x.ndim or any(c not in (1, n) for c, n in axes):
        raise ValueError(
            f"apply_rope: {cos.shape=} must broadcast to {x.shape=}, last axes aside; "
            "insert the head axis with cos[..., None, :]."
        )
    if jax.typeof(x).sharding.spec[-1] is not None:
        raise ValueError(
            f"apply_rope: the features of x have {jax.typeof(x).sharding.spec=}, but "
            "must not be sharded; shard the heads, or gather them with jax.reshard."
        )


def _equally_varying(*arrays):
    """Inside `shard_map`, marks every array as varying over the axes that any has."""
    axes = frozenset().union(*(jax.typeof(a).manual_axis_type.varying for a in arrays))
    if not axes:
        return arrays
    missing = (tuple(axes - jax.typeof(a).manual_axis_type.varying) for a in arrays)
    return tuple(
        lax.pcast(a, m, to="varying") if m else a
        for a, m in zip(arrays, missing, strict=True)
    )


def _rotate(x, cos, sin, *, layout):
    """Forms chosen by `python -m benchmarks --only rotation`; all give equal bits."""
    dtype = compute_dtype(x.dtype)
    y, cos, sin = (t.astype(dtype) for t in (x, cos, sin))
    if layout == "half":
        y = _rotate_half(y, cos, sin)
    elif jnp.finfo(x.dtype).bits >= 32:
        y = _rotate_interleaved_wide(y, cos, sin)
    else:
        y = _rotate_interleaved_narrow(y, cos, sin)
    return y.astype(x.dtype)


def _rotate_half(y, cos, sin):
    pairs, width = cos.shape[-1], y.shape[-1]
    a, b = y[..., :pairs], y[..., pairs : 2 * pairs]
    rotated = _pad(a * cos - b * sin, 0, width) + _pad(a * sin + b * cos, pairs, width)
    return _with_tail(rotated, y, 2 * pairs)


def _rotate_interleaved_wide(y, cos, sin):
    pairs, width = cos.shape[-1], y.shape[-1]
    z = y[..., : width // 2 * 2].reshape(*y.shape[:-1], -1, 2)
    cos, sin = _pad(cos, 0, width // 2), _pad(sin, 0, width // 2)
    first, second = jnp.stack([cos, sin], -1), jnp.stack([-sin, cos], -1)
    rotated = z[..., 0:1] * first + z[..., 1:2] * second
    rotated = rotated.reshape(*y.shape[:-1], -1)
    return _with_tail(_pad(rotated, 0, width), y, 2 * pairs)


def _rotate_interleaved_narrow(y, cos, sin):
    # Two straight loops: the form above would branch per element in 16 bits.
    pairs, width = cos.shape[-1], y.shape[-1]
    z = y[..., : width // 2 * 2].reshape(*y.shape[:-1], -1, 2)
    a, b = z[..., 0], z[..., 1]
    cos, sin = _pad(cos, 0, width // 2), _pad(sin, 0, width // 2)
    first = _with_tail(a * cos - b * sin, a, pairs)
    second = _with_tail(a * sin + b * cos, b, pairs)
    rotated = jnp.stack([first, second], -1).reshape(*y.shape[:-1], -1)
    return _with_tail(_pad(rotated, 0, width), y, width // 2 * 2)


def _pad(x, before, width):
    """`x` at offset `before` in `width` features of -0.0, which adds nothing at all."""
    after = width - before - x.shape[-1]
    if before == after == 0:
        return x
    config = [(0, 0, 0)] * (x.ndim - 1) + [(before, after, 0)]
    return lax.pad(x, jnp.asarray(-0.0, x.dtype), config)


def _with_tail(rotated, y, size):
    """The first `size` features of `rotated`, then those of `y`, as they are."""
    if size == y.shape[-1]:
        return rotated
    ones = (1,) * (y.ndim - 1)
    feature = lax.broadcasted_iota(jnp.int32, (*ones, y.shape[-1]), y.ndim - 1)
    # Zeros like `y`, for under an explicit mesh `where` wants the sharding of `y`.
    feature = feature + jnp.zeros_like(y, jnp.int32)
    return jnp.where(feature < size, rotated, y)


def _turn(x, cos, sin, *, layout):
    """The rotation without its tail, as a function that is linear in `(cos, sin)`."""
    dtype, pairs = compute_dtype(x.dtype), cos.shape[-1]
    y, cos, sin = (t.astype(dtype) for t in (x, cos, sin))
    if layout == "half":
        a, b = y[..., :pairs], y[..., pairs : 2 * pairs]
        rotated = jnp.concatenate([a * cos - b * sin, a * sin + b * cos], -1)
    else:
        z = y[..., : 2 * pairs].reshape(*y.shape[:-1], pairs, 2)
        a, b = z[..., 0], z[..., 1]
        rotated = jnp.stack([a * cos - b * sin, a * sin + b * cos], -1)
        rotated = rotated.reshape(*y.shape[:-1], 2 * pairs)
    return _pad(rotated, 0, x.shape[-1]).astype(x.dtype)


def _jvp(primals, tangents, *, layout):
    x, cos, sin = primals
    dx, dcos, dsin = tangents
    out = _rotate_p.bind(x, cos, sin, layout=layout)
    if isinstance(dcos, ad.Zero) and isinstance(dsin, ad.Zero):
        return out, _rotate_p.bind(dx, cos, sin, layout=layout)
    dcos, dsin = ad.instantiate_zeros(dcos), ad.instantiate_zeros(dsin)
    dtype = compute_dtype(x.dtype)  # so that the sum of two terms is rounded once
    turned = _turn(x.astype(dtype), dcos, dsin, layout=layout)
    if not isinstance(dx, ad.Zero):
        turned += _rotate_p.bind(dx.astype(dtype), cos, sin, layout=layout)
    return out, turned.astype(x.dtype)


def _transpose(cotangent, x, cos, sin, *, layout):
    # Only ever linear in x: the rule above never binds a tangent of cos or sin.
    if isinstance(cotangent, ad.Zero):
        return ad.Zero(x.aval), None, None
    return _rotate_p.bind(cotangent, cos, -sin, layout=layout), None, None


def _batch(arrays, axes, *, layout):
    size = next(
        a.shape[axis] for a, axis in zip(arrays, axes, strict=True) if axis is not None
    )
    x, cos, sin = (
        jnp.expand_dims(a, 0) if axis is None else jnp.moveaxis(a, axis, 0)
        for a, axis in zip(arrays, axes, strict=True)
    )
    if x.shape[0] != size:
        x = jnp.broadcast_to(x, (size, *x.shape[1:]))
    return _rotate_p.bind(x, cos, sin, layout=layout), 0


_rotate_p = Primitive("attnax_rotate")
_rotate_p.def_impl(jax.jit(_rotate, static_argnames="layout"))
# `x.update()` and not a new type: sharding and varying axes are part of it.
_rotate_p.def_abstract_eval(lambda x, cos, sin, *, layout: x.update())
ad.primitive_jvps[_rotate_p] = _jvp
ad.primitive_transposes[_rotate_p] = _transpose
batching.primitive_batchers[_rotate_p] = _batch
mlir.register_lowering(_rotate_p, mlir.lower_fun(_rotate, multiple_results=False))
