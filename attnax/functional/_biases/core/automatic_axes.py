"""Biases under meshes with explicit axes."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from ...._sharding import explicit_axes, sharding_over
from .by_distance import nan_at_invalid
from .content import PerHead, arrays_of, own_axes


def matrix_of(bias, params, pairs, content, dtype) -> jax.Array:
    """The bias of every pair, NaN where a position is out of bounds.

    Under a mesh with explicit axes, JAX chooses the shardings in between. The heads of
    the result are sharded as those of queries and keys, or else as the last axis of a
    parameter that has an entry for each head there; queries and keys are sharded as
    their positions are.
    """

    def matrix(params, pairs, content):
        biases = bias._matrix(params, pairs, content, dtype)
        return nan_at_invalid(_finite(biases), pairs)

    return _made(bias, matrix, params, pairs, content, lambda _, axes: P(*axes))


def _finite(biases):
    """Biases with the nearest number that their dtype holds in place of infinities.

    float16 rounds numbers from 65520 on to them. A bias of minus infinity would mask.
    """
    info = jnp.finfo(biases.dtype)
    if float(info.max) >= 2.0**127:
        return biases
    return jnp.clip(biases, info.min, info.max)


def channels_of(bias, params, pairs, content, kernel) -> Any:
    """The channels of queries and of keys, alike."""

    def channels(params, pairs, content):
        return tuple(bias._channels(params, pairs, content, kernel))

    def specs(shapes, axes):
        *batch, heads, q_len, k_len = axes
        of_q, of_k = shapes()
        return tuple(
            _spec_of(x.shape, (*batch, heads, tokens, None))
            for x, tokens in ((of_q, q_len), (of_k, k_len))
        )

    return _made(bias, channels, params, pairs, content, specs)


def _made(bias, make, params, pairs, content, specs) -> Any:
    """What `make(params, pairs, content)` returns.

    `specs(shapes, axes)` is how its arrays are sharded, where `shapes()` are theirs and
    `axes` are the mesh axes of a matrix.
    """
    arrays = _arrays_of(params, pairs, content)
    mesh = _explicit_mesh(arrays)
    if mesh is None:
        return make(params, pairs, content)

    def of_arrays(arrays):
        return make(*_replaced(arrays, pairs, content))

    def shapes():
        whole = lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype)
        return jax.eval_shape(of_arrays, jax.tree.map(whole, arrays))

    found = specs(shapes, _axes(bias, params, pairs, content))
    shardings = jax.tree.map(lambda spec: sharding_over(mesh, spec), found)
    spread_out: Any = jax.sharding.auto_axes(of_arrays, out_sharding=shardings)
    return spread_out(arrays)


def with_automatic_axes(make, arrays, axes) -> Any:
    """What `make(arrays)` returns, with shardings in between that JAX chooses.

    `axes` are the mesh axes of the result under a mesh with explicit axes.
    """
    mesh = _explicit_mesh(arrays)
    if mesh is None:
        return make(arrays)
    sharding = sharding_over(mesh, axes)
    spread_out: Any = jax.sharding.auto_axes(make, out_sharding=sharding)
    return spread_out(arrays)


def whole_arrays(params, pairs, content) -> tuple[Any, Any, Any]:
    """The same without axes that a mesh with explicit axes shards."""
    arrays = _arrays_of(params, pairs, content)
    mesh = _explicit_mesh(arrays)
    if mesh is None:
        return params, pairs, content
    sharding = NamedSharding(mesh, P())
    arrays = jax.tree.map(lambda x: jax.reshard(x, sharding), arrays)
    return _replaced(arrays, pairs, content)


def _arrays_of(params, pairs, content):
    return {
        "params": params,
        "pairs": {n: getattr(pairs, n) for n in ("q", "k", "q_valid", "k_valid")},
        "content": {"q": content.q, "k": content.k},
    }


def _replaced(arrays, pairs, content):
    """Parameters, pairs and content with other arrays."""
    pairs = pairs._replace(**arrays["pairs"])
    return arrays["params"], pairs, content._replace(**arrays["content"])


def _spec_of(shape, axes):
    """The mesh axes of an array that has fewer axes, or axes of 1 that are whole."""
    axes = axes[len(axes) - len(shape) :]
    return P(*(axis if n != 1 else None for n, axis in zip(shape, axes, strict=True)))


def _explicit_mesh(arrays):
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(arrays))
    return next((mesh for mesh in meshes if mesh.explicit_axes), None)


def _axes(bias, params, pairs, content):
    q_axes, k_axes = (explicit_axes(t) or (None,) * t.ndim for t in (pairs.q, pairs.k))
    axes, heads = _both(q_axes[:-1], k_axes[:-1]), None
    for _, kind, x in arrays_of(bias, content):
        # Arrays that are on no mesh have batch axes too.
        of_x = explicit_axes(x) or (None,) * x.ndim
        if isinstance(kind, PerHead):
            heads = heads or of_x[-3]
        axes = _both(axes, of_x[: len(of_x) - own_axes(kind)])
    for leaf in jax.tree.leaves(params):
        of_leaf = explicit_axes(leaf)
        if of_leaf and leaf.shape[-1] == bias.num_heads:
            heads = heads or of_leaf[-1]
    return *axes, heads, q_axes[-1], k_axes[-1]


def _both(a, b):
    """The mesh axes of batch axes that broadcast."""
    rank = max(len(a), len(b))
    a, b = ((None,) * (rank - len(t)) + tuple(t) for t in (a, b))
    return tuple(x or y for x, y in zip(a, b, strict=True))
