"""Shardings under meshes with explicit axes, where JAX asks to be told."""

import jax
from jax.sharding import NamedSharding, PartitionSpec


def explicit_axes(x):
    """What each axis of `x` is sharded over; `None` where no mesh has explicit axes."""
    sharding = jax.typeof(x).sharding
    return tuple(sharding.spec) if sharding.mesh.explicit_axes else None


def sharding_like(x, axes):
    """A sharding over `axes` on the mesh of `x`; `None` for `None`.

    An axis of the mesh that is named twice stays with the first that names it.
    """
    if axes is None:
        return None
    used, spec = set(), []
    for axis in axes:
        names = axis if isinstance(axis, tuple) else (axis,)
        left = tuple(name for name in names if name is not None and name not in used)
        used.update(left)
        spec.append(left or None)
    return NamedSharding(jax.typeof(x).sharding.mesh, PartitionSpec(*spec))


def sharding_beside(x, batch):
    """The sharding of rows `(*batch, d_model)` that are added to `x`."""
    axes = explicit_axes(x)
    if axes is None:
        return None
    leading = axes[x.ndim - 1 - len(batch) : -1]
    pairs = zip(batch, leading, strict=True)
    return sharding_like(x, [*(a if n != 1 else None for n, a in pairs), axes[-1]])


def sharding_of_rows(x, table):
    """The default of rows made of `x` and a table: as `x`, and as the table's columns.

    `None` where nothing is sharded: neither is the result.
    """
    axes, of_table = explicit_axes(x), explicit_axes(table)
    if axes is None or of_table is None or not any((*axes, *of_table)):
        return None
    return sharding_like(x, (*axes[:-1], of_table[1]))


def spread(x, out_sharding):
    """`x` in a sharding, or as it is."""
    return x if out_sharding is None else jax.reshard(x, out_sharding)


def gathered(table, indices, *, out_sharding, **options):
    """`table.at[indices].get`, under meshes that are manual in part as well."""

    def read(table, indices):
        return table.at[indices].get(out_sharding=out_sharding, **options)

    if out_sharding is not None and jax.typeof(table).sharding.mesh.manual_axes:
        # JAX reads under automatic axes, and cannot hand what it keeps for the backward
        # pass out of `shard_map`; so let it keep the indices alone.
        read = jax.checkpoint(read, prevent_cse=False)
    return read(table, indices)


def per_row(values, rows):
    """One value for each of `rows`, to broadcast against them; sharded as they are."""
    values, sharding = values[..., None], sharding_beside(rows, values.shape)
    if sharding is None:
        return values
    return jax.reshard(values, sharding_like(rows, (*sharding.spec[:-1], None)))


def whole_rows(table):
    """A table whose rows every device holds; its columns stay where they are."""
    axes = explicit_axes(table)
    if axes is None or axes[0] is None:
        return table
    return jax.reshard(table, sharding_like(table, (None, *axes[1:])))


def leading_rows(table, num_rows, out_sharding):
    """The first rows of a table, in a sharding."""
    return spread(whole_rows(table)[:num_rows], out_sharding)
