"""Arrays of another number of rows, in the sharding of those they were made from."""

import math
from typing import Any

import jax
from jax.core import Tracer
from jax.sharding import Mesh, NamedSharding

from ..._sharding import explicit_axes, names_of, sharding_like


def in_sharding_of(like, function, num_rows, *arguments) -> Any:
    """`function(*arguments)`, an array of `num_rows`, in the sharding of `like`.

    Automatic axes leave the sharding to the compiler where anything is traced, since a
    mesh cannot be set there.
    """
    if isinstance(like, Tracer) or _is_tracing():
        sharding = sharding_like(like, explicit_axes(like))
    else:
        sharding = getattr(like, "sharding", None)
    if not isinstance(sharding, NamedSharding):
        return function(*arguments)
    _check_shards(sharding, num_rows)
    if sharding.mesh.abstract_mesh.explicit_axes:
        function = jax.sharding.auto_axes(function, out_sharding=sharding)
    if not isinstance(sharding.mesh, Mesh):
        return function(*arguments)
    # Compiled for that sharding, so that no device holds the whole array.
    with jax.set_mesh(sharding.mesh):
        return jax.jit(function, out_shardings=sharding)(*arguments)


def _is_tracing():
    """Whether anything is traced here, where JAX refuses a mesh."""
    try:
        jax.sharding.get_mesh()
    except ValueError:
        return True
    return False


def _check_shards(sharding, num_rows):
    first = sharding.spec[0] if len(sharding.spec) else None
    shards = math.prod(sharding.mesh.shape[name] for name in names_of(first))
    if num_rows % shards:
        raise ValueError(
            f"the {num_rows} rows of the result must be a multiple of the {shards} "
            f"shards; pass a multiple of {shards} to divide the rows."
        )
