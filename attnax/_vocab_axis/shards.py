"""Tables whose rows are sharded over an axis of the mesh, and what runs on a shard."""

import math
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import PartitionSpec

from .._sharding import varying_axes
from .placing import batch_names, free_names, joined_spec, passed, placed


class Shard(NamedTuple):
    """The rows of a table that a device holds.

    Attributes:
        axis: Names of the mesh axes over which the rows are sharded, for collectives.
        num_rows: Number of rows of a shard.
        beside: Names of the other mesh axes that are manual in the same `shard_map`,
            over which collectives can run too.
    """

    axis: tuple[str, ...]
    num_rows: int
    beside: tuple[str, ...]

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


def axis_names(vocab_axis):
    """The names in `vocab_axis`, a name or a tuple of names."""
    names = vocab_axis if isinstance(vocab_axis, tuple) else (vocab_axis,)
    strings = all(isinstance(name, str) for name in names)
    if not names or not strings or len(set(names)) < len(names):
        raise ValueError(
            f"{vocab_axis=} must be the name of a mesh axis, or a tuple of names."
        )
    return names


def is_manual(vocab_axis):
    """Whether collectives over all axes of `vocab_axis` can run here."""
    return all(_is_manual(name) for name in axis_names(vocab_axis))


def num_table_rows(table, vocab_axis):
    """The rows of a whole table, where `table` is a shard if `vocab_axis` is manual."""
    if vocab_axis is None or not is_manual(vocab_axis):
        return table.shape[0]
    return table.shape[0] * lax.axis_size(axis_names(vocab_axis))


_SAME = PartitionSpec()  # on every device


def on_shards(
    local, vocab_axis, tables, arrays, *, num_batch_axes=None, out_specs=_SAME
):
    """`local(shard, *tables, *arrays)`, where each device has its shard of `tables`.

    Both are dicts by the names of arguments, and `None` stands for an argument that is
    not given. `tables` are sharded over their first axis, and `arrays` are the same on
    every shard. If `vocab_axis` is a manual axis, `tables` are the shards already and
    the results are those of `local`. Otherwise, `tables` are whole, and `out_specs`
    say where the results lie on `vocab_axis`.

    `arrays` and results begin with `num_batch_axes` axes, to whose entries `local`
    does the same. Explicit axes of the mesh that shard nothing else are manual too: JAX
    would gather some arrays otherwise. Other axes stay as they are.
    """
    axis = axis_names(vocab_axis)
    manual = [_is_manual(name) for name in axis]
    if all(manual):
        for name, array in arrays.items():
            _check_same_on_shards(array, name, axis)
        for name, table in tables.items():
            _check_is_shard(table, name, axis)
        others = set(jax.sharding.get_abstract_mesh().manual_axes) - set(axis)
        return _run(local, axis, others, tables.values(), arrays.values())
    if any(manual):
        raise ValueError(
            f"{vocab_axis=} must name axes that are all manual, or axes that are not: "
            f"{axis[manual.index(False)]!r} is not."
        )
    mesh = _mesh_of(vocab_axis, axis, {**tables, **arrays})
    num_shards = math.prod(mesh.shape[name] for name in axis)
    _check_rows(vocab_axis, num_shards, tables)
    if num_shards == 1:
        # XLA cannot compile a program that is manual over axes of one device alone.
        whole = (placed(mesh, set(axis), table, ()) for table in tables.values())
        return _run(local, (), (), whole, arrays.values())
    if mesh.manual_axes and jax.__version_info__ < (0, 10, 2):
        raise ValueError(
            f"{vocab_axis=} must be manual inside a jax.shard_map over other axes, "
            f"since jax {jax.__version__} cannot compile one in another; install jax "
            "0.10.2 or later."
        )
    free = free_names(mesh, axis, tables.values(), arrays.values(), num_batch_axes)
    batch = batch_names(free, arrays.values(), num_batch_axes)
    manual = {*axis, *free}
    run = partial(_run, local, axis, free)
    if mesh.manual_axes:
        # JAX cannot pass residuals of the backward pass out of a `shard_map` inside
        # another. Rematerialization keeps the arguments alone.
        run = jax.checkpoint(run, prevent_cse=False)
    mapped = jax.shard_map(
        run,
        mesh=passed(mesh),
        in_specs=(PartitionSpec(axis), PartitionSpec(*batch)),
        out_specs=jax.tree.map(partial(joined_spec, batch), out_specs),
        axis_names=manual,
    )
    # Lists, since `shard_map` would put the items of a dict in another order.
    placed_tables = [placed(mesh, manual, x, [axis]) for x in tables.values()]
    placed_arrays = [placed(mesh, manual, x, batch) for x in arrays.values()]
    return mapped(placed_tables, placed_arrays)


def _run(local, axis, beside, tables, arrays):
    first, *others = tables
    shard = Shard(axis, first.shape[0], tuple(sorted(beside)))
    return local(shard, first, *others, *arrays)


def _is_manual(axis):
    """Whether collectives over one axis can run here."""
    try:
        lax.axis_size(axis)
    except NameError:
        return False
    return True


def _check_same_on_shards(array, name, axis):
    """Raises if the type of `array` says that it differs from shard to shard."""
    if array is None:
        return
    if varying_axes(array) & set(axis):
        raise ValueError(
            f"{name} is {jax.typeof(array)}, but must be the same on all shards of "
            f"vocab_axis={axis}; make it so with "
            'jax.lax.all_gather(..., tiled=True, to="invarying").'
        )


def _check_is_shard(table, name, axis):
    """Raises if the type of `table` says that it is the same on shards, thus whole."""
    if table is None:
        return
    # With `check_vma=False`, and under `vmap`, types do not tell where arrays differ.
    missing = varying_axes(lax.axis_index(axis)) - varying_axes(table)
    if any(lax.axis_size(name) > 1 for name in missing):
        raise ValueError(
            f"{name} is {jax.typeof(table)}, but must be the shard of each device over "
            f"vocab_axis={axis}; pass it with in_specs=jax.P({axis}) to jax.shard_map."
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
