"""Where arrays lie on the axes that a `shard_map` takes over."""

from itertools import zip_longest

import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec

from .._sharding import explicit_axes, names_of, sharding_over


def free_names(mesh, axis, tables, arrays, num_batch_axes):
    """The explicit axes that shard no axis but those of rows and batches."""
    if num_batch_axes is None:
        return ()
    taken = set(axis)
    for array, first in (
        *((t, 1) for t in tables),
        *((a, num_batch_axes) for a in arrays),
    ):
        spec = () if array is None else explicit_axes(array) or ()
        taken.update(*map(names_of, spec[first:]))
    free = (name for name in mesh.explicit_axes if name not in taken)
    return tuple(name for name in free if _can_be_manual(mesh, name))


def _can_be_manual(mesh, name):
    """Whether `shard_map` takes an axis: `vmap` may map over arrays sharded over it."""
    call = jax.shard_map(
        lambda: (), mesh=passed(mesh), in_specs=(), out_specs=(), axis_names={name}
    )
    try:
        jax.eval_shape(call)
    except ValueError:
        return False
    return True


def passed(mesh):
    """The mesh for `shard_map`, which takes that of the context itself."""
    return None if mesh is jax.sharding.get_abstract_mesh() else mesh


def batch_names(free, arrays, num_batch_axes):
    """The axes among `free` that shard each batch axis of the first array."""
    specs = (explicit_axes(array) for array in arrays if array is not None)
    spec = next((spec for spec in specs if spec is not None), ())
    batch = [names_of(entry) for entry in spec[: num_batch_axes or 0]]
    return [tuple(name for name in names if name in free) for names in batch]


def joined_spec(batch, spec):
    """The spec of a result, whose first axes are over those of the batch too."""
    entries = [names_of(entry) for entry in spec]
    pairs = zip_longest(batch, entries, fillvalue=())
    return PartitionSpec(*(first + then for first, then in pairs))


def placed(mesh, manual, x, leading):
    """`x` with its first axes over the mesh axes `leading`, no others over `manual`.

    Explicit axes need this: `shard_map` itself moves nothing there.
    """
    if x is None or not mesh.explicit_axes:
        return x
    x = jnp.asarray(x)
    spec = [_without(e, manual) for e in explicit_axes(x) or (None,) * x.ndim]
    pairs = zip_longest(leading, spec, fillvalue=())
    explicit = set(mesh.explicit_axes)
    spec = [
        (*(name for name in first if name in explicit), *then) for first, then in pairs
    ]
    return jax.reshard(x, sharding_over(mesh, spec))


def _without(entry, names):
    return tuple(name for name in names_of(entry) if name not in names)
