"""Tables whose rows are sharded over an axis of the mesh, and what runs on a shard."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from ._sharding import explicit_axes, sharding_over


class Shard(NamedTuple):
    """The rows of a table that a device holds.

    Attributes:
        axis: Names of the mesh axes over which the rows are sharded, for collectives.
        num_rows: Number of rows of a shard.
    """

    axis: tuple[str, ...]
    num_rows: int

    def first_row(self):
        """The index in the table of the first row of this shard, int32."""
        return lax.axis_index(self.axis) * jnp.int32(self.num_rows)

    def local(self, rows):
        """Indices in this shard of int32 `rows` of the table, and a mask of its own.

        The index is -1 where another shard, or none, holds the row.
        """
        indices = rows - self.first_row()
        own = (indices >= 0) & (indices < self.num_rows)
        return jnp.where(own, indices, -1), own


_SAME = PartitionSpec()  # on every device


def on_shards(function, vocab_axis, tables, arrays, *, out_specs=_SAME):
    """`function(shard, *tables, *arrays)`, where each device has its shard of `tables`.

    Both are dicts by the names of arguments, and `None` stands for an argument that is
    not given. `tables` are sharded over their first axis, and `arrays` are the same on
    every shard. If `vocab_axis` is a manual axis, `tables` are the shards already and
    the results are those of `function`. Otherwise, `tables` are whole, and `out_specs`
    say where the results lie on `vocab_axis`; other axes stay as they are.
    """
    axis = _axis_names(vocab_axis)
    manual = [_is_manual(name) for name in axis]
    if all(manual):
        for name, array in arrays.items():
            _check_same_on_shards(name, array, axis)
        return _run(function, axis, tables.values(), arrays.values())
    if any(manual):
        raise ValueError(
            f"{vocab_axis=} must name axes that are all manual, or axes that are not: "
            f"{axis[manual.index(False)]!r} is not."
        )
    mesh = _mesh_of(vocab_axis, axis, {**tables, **arrays})
    _check_rows(vocab_axis, math.prod(mesh.shape[name] for name in axis), tables)
    run = partial(_run, function, axis)
    if mesh.manual_axes:
        # JAX cannot pass residuals of the backward pass out of a `shard_map` inside
        # another. Rematerialization keeps the arguments alone.
        run = jax.checkpoint(run, prevent_cse=False)
    mapped = jax.shard_map(
        run,
        mesh=None if mesh is jax.sharding.get_abstract_mesh() else mesh,
        in_specs=(PartitionSpec(axis), _SAME),
        out_specs=out_specs,
        axis_names=set(axis),
    )
    # Lists, since `shard_map` would put the items of a dict in another order.
    placed_tables = [_placed(mesh, axis, x, axis) for x in tables.values()]
    placed_arrays = [_placed(mesh, axis, x, ()) for x in arrays.values()]
    return mapped(placed_tables, placed_arrays)


def _run(function, axis, tables, arrays):
    first, *_ = tables
    return function(Shard(axis, first.shape[0]), *tables, *arrays)


def _axis_names(vocab_axis):
    names = vocab_axis if isinstance(vocab_axis, tuple) else (vocab_axis,)
    strings = all(isinstance(name, str) for name in names)
    if not names or not strings or len(set(names)) < len(names):
        raise ValueError(
            f"{vocab_axis=} must be the name of a mesh axis, or a tuple of names."
        )
    return names


def _is_manual(name):
    """Whether collectives over the axis `name` can run here."""
    try:
        lax.axis_size(name)
    except NameError:
        return False
    return True


def _check_same_on_shards(name, array, axis):
    """Raises if the type of `array` says that it differs from shard to shard."""
    if array is None:
        return
    if jax.typeof(array).manual_axis_type.varying & set(axis):
        raise ValueError(
            f"{name} is {jax.typeof(array)}, but must be the same on all shards of "
            f"vocab_axis={axis}; make it so with "
            'jax.lax.all_gather(..., tiled=True, to="invarying").'
        )


def _mesh_of(vocab_axis, axis, arrays):
    """The mesh of the context, or else of the first array that has one."""
    meshes = [jax.sharding.get_abstract_mesh()]
    meshes += [jax.typeof(x).sharding.mesh for x in arrays.values() if x is not None]
    mesh = next((mesh for mesh in meshes if not mesh.empty), None)
    if mesh is None:
        raise ValueError(
            f"{vocab_axis=} must name an axis of a mesh, but there is none; set one "
            "with jax.set_mesh."
        )
    if not set(axis) <= set(mesh.axis_names):
        raise ValueError(
            f"{vocab_axis=} must name an axis of the mesh, which has {mesh.axis_names}."
        )
    return mesh


def _check_rows(vocab_axis, num_shards, tables):
    for name, table in tables.items():
        if table is not None and table.shape[0] % num_shards:
            raise ValueError(
                f"{name} has {table.shape[0]} rows, which must be a multiple of the "
                f"{num_shards} shards of {vocab_axis=}; pad it with pad_vocabulary, "
                "and pass valid_vocab_size."
            )


def _placed(mesh, axis, x, first):
    """`x` with its first axis over the mesh axes `first`, and no other over `axis`.

    Explicit axes need this: `shard_map` itself moves nothing there.
    """
    explicit = [name for name in axis if name in mesh.explicit_axes]
    if x is None or not explicit:
        return x
    x = jnp.asarray(x)
    spec = explicit_axes(x) or (None,) * x.ndim
    spec = [_without(entry, explicit) for entry in spec]
    if first:
        spec[0] = (*explicit, *spec[0])
    return jax.reshard(x, sharding_over(mesh, spec))


def _without(entry, names):
    entries = entry if isinstance(entry, tuple) else (entry,)
    return tuple(name for name in entries if name is not None and name not in names)
