"""Sums of rows in a table, where a mesh says what each device holds of either."""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from ..._checks import exceeds
from ..._dtypes import compute_dtype
from ..._sharding import equally_varying, names_of, sharding_over


def sums_on_mesh(sums, rows, indices, num_rows, dtype, of_table, of_rows):
    """`sums(indices, rows, num_rows, dtype)`, in the sharding `of_table`.

    `of_rows` is the sharding of `rows`, on the same mesh. If there are as many rows of
    the table as indices, or more, rows travel to the devices that hold their row of the
    table, and sums have the same bits on every mesh. Otherwise, each device adds up
    what it has, and tables travel; so it is where a size is symbolic.
    """
    mesh, num_axes = of_table.mesh, indices.ndim
    if mesh.explicit_axes:
        of_tokens = of_rows.spec[:num_axes]
        if _rows_travel(of_table, of_tokens, indices.size, num_rows):
            of_tokens = (None,) * num_axes
        return _sums_of_shards(
            sums, rows, indices, num_rows, dtype, of_table, of_tokens
        )
    if mesh.auto_axes and exceeds(indices.size, num_rows) is False:
        # Where the compiler spreads rows, it would add up whole tables.
        whole = PartitionSpec(*(None,) * num_axes)
        indices = _constrained(indices, mesh, whole)
        columns = (PartitionSpec.UNCONSTRAINED,) * (rows.ndim - num_axes)
        rows = _constrained(rows, mesh, PartitionSpec(*whole, *columns))
    return sums(indices, rows, num_rows, dtype)


def _rows_travel(of_table, of_tokens, num_indices, num_rows):
    """Whether each device shall get all tokens, for its own rows of the table."""
    table, columns = _names(of_table.spec[:1]), _names(of_table.spec[1:])
    tokens = _names(of_tokens)
    apart = tuple(name for name in table if name not in tokens)
    return (
        exceeds(num_indices * _size(of_table.mesh, table), num_rows) is False
        # Then a device gets its own columns of all rows, which are no more than it has.
        or bool(set(tokens) & set(columns))
        # `psum_scatter` leaves the parts of a shard beside each other.
        or table[: len(apart)] != apart
    )


def _sums_of_shards(sums, rows, indices, num_rows, dtype, of_table, of_tokens):
    """The sums by a `shard_map` over the explicit axes of the mesh."""
    mesh, tokens = of_table.mesh, _names(of_tokens)
    table = _names(of_table.spec[:1])
    apart = tuple(name for name in table if name not in tokens)
    scattered = tuple(name for name in table if name in tokens)
    reduced = tuple(name for name in tokens if name not in table)
    num_apart = num_rows // _size(mesh, apart)

    def of_device(first_row, indices, rows):
        if apart:
            indices = indices - first_row[0]
        indices, rows = equally_varying(indices, rows)
        if not tokens:
            return sums(indices, rows, num_apart, dtype)
        table = sums(indices, rows, num_apart, compute_dtype(dtype))
        if scattered:
            table = lax.psum_scatter(table, scattered, tiled=True)
        if reduced:
            table = lax.psum(table, reduced)
        return table.astype(dtype)

    # Columns part before tokens meet: XLA would gather all columns of all tokens.
    of_rows = jax.typeof(rows).sharding.spec[: indices.ndim], of_table.spec[1:]
    rows = jax.reshard(rows, sharding_over(mesh, (*of_rows[0], *of_rows[1])))
    of_rows = *of_tokens, *of_table.spec[1:]
    # jax 0.10.0 cannot compile `axis_index` where another `shard_map` stands around.
    first_rows = lax.iota(jnp.int32, _size(mesh, apart)) * jnp.int32(num_apart)
    return jax.shard_map(
        of_device,
        mesh=None if mesh == jax.sharding.get_abstract_mesh() else mesh,
        in_specs=tuple(PartitionSpec(*axes) for axes in ([apart], of_tokens, of_rows)),
        out_specs=of_table.spec,
        axis_names=set(mesh.explicit_axes),
    )(
        jax.reshard(first_rows, sharding_over(mesh, [apart])),
        jax.reshard(indices, sharding_over(mesh, of_tokens)),
        jax.reshard(rows, sharding_over(mesh, of_rows)),
    )


def _names(spec):
    """The names of mesh axes in entries of a `PartitionSpec`, in their order."""
    return tuple(name for entry in spec for name in names_of(entry))


def _size(mesh, names):
    return math.prod(mesh.shape[name] for name in names)


def _constrained(x, mesh, spec):
    return lax.with_sharding_constraint(x, NamedSharding(mesh, spec))
