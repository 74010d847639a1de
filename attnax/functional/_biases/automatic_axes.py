"""Biases under meshes with explicit axes."""

import jax
from jax.sharding import NamedSharding, PartitionSpec

from ..._sharding import explicit_axes


def under_automatic_axes(matrix, params, pairs, content):
    """`matrix(params, pairs, content)`, with shardings in between that JAX chooses.

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
        return matrix(params, pairs, content)

    def of_arrays(arrays):
        return matrix(
            arrays["params"],
            pairs._replace(**arrays["pairs"]),
            content._replace(**arrays["content"]),
        )

    sharding = NamedSharding(mesh, _spec(params, pairs, content))
    return jax.sharding.auto_axes(of_arrays, out_sharding=sharding)(arrays)


def _explicit_mesh(arrays):
    meshes = (jax.typeof(leaf).sharding.mesh for leaf in jax.tree.leaves(arrays))
    return next((mesh for mesh in meshes if mesh.explicit_axes), None)


def _spec(params, pairs, content):
    q_axes, k_axes = (explicit_axes(t) or (None,) * t.ndim for t in (pairs.q, pairs.k))
    axes = [a or b for a, b in zip(q_axes[:-1], k_axes[:-1], strict=True)]
    heads = None
    for x in (content.q, content.k):
        if x is not None and explicit_axes(x) is not None:
            of_x = explicit_axes(x)
            heads = heads or of_x[-3]
            batch = [None] * (len(axes) - len(of_x[:-3])) + [*of_x[:-3]]
            axes = [None] * (len(batch) - len(axes)) + axes
            axes = [a or b for a, b in zip(axes, batch, strict=True)]
    tables = (explicit_axes(leaf) for leaf in jax.tree.leaves(params))
    heads = heads or next((axes[-1] for axes in tables if axes), None)
    return PartitionSpec(*axes, heads, q_axes[-1], k_axes[-1])
