"""Biases under meshes with explicit axes."""

from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

from ...._sharding import explicit_axes
from .content import PerHead, arrays_of, own_axes


def matrix_of(bias, params, pairs, content, dtype) -> jax.Array:
    """The bias of every pair, with shardings in between that JAX chooses.

    Under a mesh with explicit axes, the heads of the result are sharded as those of
    queries and keys, or else as the columns of tables; queries and keys are sharded as
    their positions are.
    """
    arrays = {
        "params": params,
        "pairs": {n: getattr(pairs, n) for n in ("q", "k", "q_valid", "k_valid")},
        "content": {"q": content.q, "k": content.k},
    }
    mesh = _explicit_mesh(arrays)
    if mesh is None:
        return bias._matrix(params, pairs, content, dtype)

    def of_arrays(arrays):
        return bias._matrix(
            arrays["params"],
            pairs._replace(**arrays["pairs"]),
            content._replace(**arrays["content"]),
            dtype,
        )

    sharding = NamedSharding(mesh, _spec(bias, params, pairs, content))
    spread_out: Any = jax.sharding.auto_axes(of_arrays, out_sharding=sharding)
    return spread_out(arrays)


def _explicit_mesh(arrays):
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(arrays))
    return next((mesh for mesh in meshes if mesh.explicit_axes), None)


def _spec(bias, params, pairs, content):
    q_axes, k_axes = (explicit_axes(t) or (None,) * t.ndim for t in (pairs.q, pairs.k))
    axes, heads = _both(q_axes[:-1], k_axes[:-1]), None
    for _, kind, x in arrays_of(bias, content):
        of_x = explicit_axes(x)
        if of_x is not None:
            if isinstance(kind, PerHead):
                heads = heads or of_x[-3]
            axes = _both(axes, of_x[: len(of_x) - own_axes(kind)])
    tables = (explicit_axes(leaf) for leaf in jax.tree.leaves(params))
    heads = heads or next((axes[-1] for axes in tables if axes), None)
    return PartitionSpec(*axes, heads, q_axes[-1], k_axes[-1])


def _both(a, b):
    """The mesh axes of batch axes that broadcast."""
    rank = max(len(a), len(b))
    a, b = ((None,) * (rank - len(t)) + tuple(t) for t in (a, b))
    return tuple(x or y for x, y in zip(a, b, strict=True))
