"""Two primitives, each the transpose of the other: reading rows, and adding them up.

The transpose that autodiff derives of a gather adds rows up in the dtype of the table,
under any mesh in XLA's way. A primitive can say what it is, and keeps forward mode and
batching, which `custom_vjp` and `linear_call` lose.

An index is a row of the table, int32, or -1: its row is zero, and nothing is added.
The table is `(num_rows, *row)` of any real float, and rows are `(*batch, *row)` of the
compute dtype.
"""

from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from ..._dtypes import compute_dtype
from ..._sharding import equally_varying, sharding_over, spread, varying_axes
from .sharded_sums import sums_on_mesh
from .table_sums import table_of_sums, table_of_sums_in_turn


def take_rows(table, indices, like):
    """Rows of `table`, linear in it, of the type of `like`: the same rows, or others.

    The transpose adds up in the compute dtype, and rounds once to that of `table`.
    """
    if varying_axes(indices) - varying_axes(table):
        # Sums of devices are added up in the compute dtype, and rounded after that.
        table = table.astype(compute_dtype(table.dtype))
    table, indices, like = equally_varying(table, indices, like)
    of_table, of_rows = (jax.typeof(x).sharding for x in (table, like))
    return _take_p.bind(
        table,
        indices,
        dtype=table.dtype,
        num_rows=table.shape[0],
        of_table=of_table,
        of_rows=of_rows,
    )


def _take(table, indices, *, dtype, num_rows, of_table, of_rows):
    rows = table.at[indices].get(
        mode="fill",
        fill_value=0,
        wrap_negative_indices=False,
        out_sharding=of_rows if of_rows.mesh.explicit_axes else None,
    )
    return rows.astype(compute_dtype(dtype))


def _sum(of_shard, rows, indices, *, dtype, num_rows, of_table, of_rows):
    return sums_on_mesh(of_shard, rows, indices, num_rows, dtype, of_table, of_rows)


def _take_type(table, indices, *, dtype, num_rows, of_table, of_rows):
    shape = *indices.shape, *table.shape[1:]
    return table.update(shape=shape, dtype=compute_dtype(dtype), sharding=of_rows)


def _sum_type(rows, indices, *, dtype, num_rows, of_table, of_rows):
    shape = num_rows, *rows.shape[indices.ndim :]
    return rows.update(shape=shape, dtype=dtype, sharding=of_table)


def _jvp(primitive, primals, tangents, **settings):
    """Linear in the first argument; indices have no tangents."""
    x, indices = primals
    out = primitive.bind(x, indices, **settings)
    return out, primitive.bind(tangents[0], indices, **settings)


def _transpose(other, cotangent, x, indices, **settings):
    if isinstance(cotangent, ad.Zero):
        return ad.Zero(x.aval), None
    return other.bind(cotangent, indices, **settings), None


def _batch_take(arrays, axes, **settings):
    table, indices = arrays
    if axes[1] is None:
        return _beside_columns(_take_p, arrays, axes[0], 1, indices.ndim, settings)
    indices = jnp.moveaxis(indices, axes[1], 0)
    of_batch = jax.typeof(indices).sharding.spec[0]
    settings["of_rows"] = _with_axis(settings["of_rows"], 0, of_batch)
    if axes[0] is not None:
        num_rows, of_table = settings["num_rows"], settings["of_table"]
        whole = _with_axis(_stack_of(of_table, of_batch), 1, None)
        table = _spread(jnp.moveaxis(table, axes[0], 0), whole)
        table = table.reshape(-1, *table.shape[2:])
        indices = _in_stack(indices, num_rows)
        settings |= {"num_rows": len(table), "of_table": _stack_of(of_table, of_batch)}
    return _take_p.bind(table, indices, **settings), 0


def _batch_sum(arrays, axes, **settings):
    rows, indices = arrays
    if axes[1] is None:
        return _beside_columns(_sum_p, arrays, axes[0], indices.ndim, 1, settings)
    indices = jnp.moveaxis(indices, axes[1], 0)
    of_batch = jax.typeof(indices).sharding.spec[0]
    of_rows = _with_axis(settings["of_rows"], 0, of_batch)
    if axes[0] is None:
        rows = jnp.broadcast_to(rows[None], (len(indices), *rows.shape))
        axes = 0, 0
    rows = _spread(jnp.moveaxis(rows, axes[0], 0), of_rows)

    num_rows, of_table = settings["num_rows"], settings["of_table"]
    num_tables, of_stack = len(indices), _stack_of(of_table, of_batch)
    settings |= {"num_rows": num_tables * num_rows, "of_table": of_stack}
    settings |= {"of_rows": of_rows}
    stack = _sum_p.bind(rows, _in_stack(indices, num_rows), **settings)
    tables = stack.reshape(num_tables, num_rows, *stack.shape[1:])
    return _spread(tables, _with_axis(of_table, 0, of_batch)), 0


def _beside_columns(primitive, arrays, axis, place, out, settings):
    """A batch with the same indices for all: one lookup of wider rows."""
    x, indices = arrays
    of_batch = jax.typeof(x).sharding.spec[axis]
    of_table = _with_axis(settings["of_table"], 1, of_batch)
    of_rows = _with_axis(settings["of_rows"], indices.ndim, of_batch)
    settings |= {"of_table": of_table, "of_rows": of_rows}
    x = jnp.moveaxis(x, axis, place)
    return primitive.bind(x, indices, **settings), out


def _in_stack(indices, num_rows):
    """Indices in tables `(num_tables, num_rows)` as those in one table."""
    num_tables = len(indices)
    if num_tables * num_rows > jnp.iinfo(jnp.int32).max:
        raise ValueError(
            f"a lookup in {num_tables} tables of {num_rows} rows must not go past the "
            "rows that int32 counts; map over fewer tables at once."
        )
    first = num_rows * lax.iota(jnp.int32, num_tables)
    first = first.reshape(-1, *(1,) * (indices.ndim - 1))
    return jnp.where(indices >= 0, indices + first, -1)


def _stack_of(of_table, of_batch):
    """The sharding of several tables that stand below each other."""
    return _sharding(of_table, (of_batch, *of_table.spec[1:]))


def _with_axis(sharding, axis, spec):
    """A sharding with one more axis, which is sharded over `spec`."""
    return _sharding(sharding, (*sharding.spec[:axis], spec, *sharding.spec[axis:]))


def _sharding(like, axes):
    return sharding_over(like.mesh, axes)


def _spread(x, sharding):
    return spread(x, sharding if sharding.mesh.explicit_axes else None)


def _primitive(called, out_type, batch, *, cpu, default):
    """A primitive with one form on a CPU, and one elsewhere."""

    def run(x, indices, **settings):
        forms = {
            "cpu": partial(cpu, **settings),
            "default": partial(default, **settings),
        }
        return lax.platform_dependent(x, indices, **forms)

    primitive = Primitive(called)
    names = ("dtype", "num_rows", "of_table", "of_rows")
    primitive.def_impl(jax.jit(run, static_argnames=names))
    primitive.def_abstract_eval(out_type)
    ad.primitive_jvps[primitive] = partial(_jvp, primitive)
    batching.primitive_batchers[primitive] = batch
    for platform, form in (("cpu", cpu), (None, default)):
        lowering = mlir.lower_fun(form, multiple_results=False)
        mlir.register_lowering(primitive, lowering, platform=platform)
    return primitive


_take_p = _primitive(
    "attnax_take_rows", _take_type, _batch_take, cpu=_take, default=_take
)
_sum_p = _primitive(
    "attnax_sum_rows",
    _sum_type,
    _batch_sum,
    cpu=partial(_sum, table_of_sums_in_turn),
    default=partial(_sum, table_of_sums),
)
ad.primitive_transposes[_take_p] = partial(_transpose, _sum_p)
ad.primitive_transposes[_sum_p] = partial(_transpose, _take_p)
