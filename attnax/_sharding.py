"""Shardings of results under meshes with explicit axes, which JAX does not infer."""

import jax
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec


def explicit_axes(x):
    """The mesh axes over which each axis of `x` is sharded.

    `None` stands for a mesh without explicit axes.
    """
    sharding = jax.typeof(x).sharding
    return tuple(sharding.spec) if sharding.mesh.explicit_axes else None


def sharding_like(x, axes):
    """A sharding over `axes` on the mesh of `x`; `None` for `None`."""
    return None if axes is None else sharding_over(jax.typeof(x).sharding.mesh, axes)


def sharding_over(mesh, axes):
    """A sharding over `axes` of a mesh.

    A mesh axis that `axes` names twice is kept at its first place only.
    """
    used, spec = set(), []
    for axis in axes:
        left = tuple(name for name in names_of(axis) if name not in used)
        used.update(left)
        spec.append(left or None)
    return NamedSharding(mesh, PartitionSpec(*spec))


def names_of(entry):
    """The mesh axes of an entry of a spec: a name, a tuple of names, or `None`."""
    return entry if isinstance(entry, tuple) else () if entry is None else (entry,)


def sharding_beside(x, batch):
    """The sharding of rows `(*batch, d_model)` that are added to `x`."""
    axes = explicit_axes(x)
    if axes is None:
        return None
    leading = axes[x.ndim - 1 - len(batch) : -1]
    pairs = zip(batch, leading, strict=True)
    return sharding_like(x, [*(a if n != 1 else None for n, a in pairs), axes[-1]])


def sharding_of_rows(x, table):
    """The default sharding of rows that are a product of `x` and a table.

    The leading axes are sharded as those of `x`, and the last one as the columns of the
    table. It is `None` where neither is sharded.
    """
    axes, of_table = explicit_axes(x), explicit_axes(table)
    if axes is None or of_table is None or not any((*axes, *of_table)):
        return None
    return sharding_like(x, (*axes[:-1], of_table[1]))


def sharding_of_lookup(indices, table):
    """The default sharding of the rows of a table at `indices`.

    The leading axes are sharded as `indices` are, and the rows are whole. It is
    `None` where neither the indices nor the table are sharded.
    """
    axes, of_table = explicit_axes(indices), explicit_axes(table) or ()
    if not any((*(axes or ()), *of_table)):
        return None
    if axes is None:  # they have no mesh
        return sharding_like(table, (None,) * (indices.ndim + 1))
    return sharding_like(indices, (*axes, None))


def varying_axes(x):
    """The manual axes of the mesh over which `x` differs, as far as its type tells."""
    return jax.typeof(x).manual_axis_type.varying


def equally_varying(*arrays):
    """Marks all arrays as varying over the axes of `shard_map` that any varies over."""
    return tuple(varying_like(arrays, x) for x in arrays)


def varying_like(arrays, x):
    """Marks `x` as varying over the axes of `shard_map` that any array varies over."""
    missing = frozenset().union(*map(varying_axes, arrays)) - varying_axes(x)
    return lax.pcast(x, tuple(missing), to="varying") if missing else x


def spread(x, out_sharding):
    """`x` in a sharding, or as it is."""
    return x if out_sharding is None else jax.reshard(x, out_sharding)


def gathered(table, indices, *, out_sharding, **options):
    """`table.at[indices].get`, which also works under a partly manual mesh."""

    def read(table, indices):
        return table.at[indices].get(out_sharding=out_sharding, **options)

    if out_sharding is not None and jax.typeof(table).sharding.mesh.manual_axes:
        # JAX reads under automatic axes there, and cannot pass the residuals of the
        # backward pass out of `shard_map`. Rematerialization keeps the indices alone.
        read = jax.checkpoint(read, prevent_cse=False)
    return read(table, indices)


def per_row(values, rows):
    """One value for each row, with an axis to broadcast; sharded as `rows` are."""
    values, sharding = values[..., None], sharding_beside(rows, values.shape)
    if sharding is None:
        return values
    return jax.reshard(values, sharding_like(rows, (*sharding.spec[:-1], None)))


def whole_along(x, axis):
    """`x` with one axis on every device; the other axes stay where they are."""
    axes = explicit_axes(x)
    if axes is None or axes[axis] is None:
        return x
    axes = list(axes)
    axes[axis] = None
    return jax.reshard(x, sharding_like(x, axes))


def whole_array(x):
    """An array that is whole on every device of an explicit mesh."""
    axes = explicit_axes(x)
    if axes is None or not any(axes):
        return x
    return jax.reshard(x, sharding_like(x, (None,) * x.ndim))


def leading_rows(table, num_rows, out_sharding):
    """The first rows of a table, in a sharding."""
    return spread(whole_along(table, 0)[:num_rows], out_sharding)
