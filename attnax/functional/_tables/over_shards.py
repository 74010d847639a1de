"""Rows of a table whose rows are sharded: each shard gives its own, and one sum joins.

Only one shard holds a row, so the sum is taken of integers: the bits of the row, and
zeros. The result has the same bits on every mesh, and moves in its own dtype.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import NamedSharding, PartitionSpec

from ..._checks import exceeds, integer
from ..._dtypes import compute_dtype
from ..._sharding import (
    explicit_axes,
    names_of,
    per_row,
    sharding_like,
    sharding_of_lookup,
    spread,
    varying_axes,
    varying_like,
)
from ..._vocab_axis import axis_names, is_manual, on_shards
from .lookup import lookup_rows
from .lookup_kernel import take_rows


def lookup_over_shards(
    weight,
    ids,
    finish,
    *,
    vocab_axis,
    scatter_axis=None,
    frozen_row=None,
    mask_frozen=False,
    out_sharding=None,
    name="token_ids",
):
    """`finish` of the rows of `weight` at `ids`, which is -1 for rows of NaN.

    `finish` takes rows and gives rows, and runs on each shard. `frozen_row` gets no
    gradient, and is zeros if `mask_frozen`. The rows are on every shard, or lie along
    `scatter_axis` of the ids, which errors call `name`.
    """
    names = axis_names(vocab_axis)
    if scatter_axis is not None:
        scatter_axis = integer("scatter_axis", scatter_axis, -ids.ndim, ids.ndim - 1)
        scatter_axis %= ids.ndim
    elif not is_manual(vocab_axis):
        scatter_axis = _axis_to_shard(ids, names, out_sharding)
        out_sharding = out_sharding or sharding_of_lookup(ids, weight)
    inside = scatter_axis is not None and _scatters_inside(weight, ids, vocab_axis)

    def local(shard, weight, ids):
        indices, own = shard.local(ids)
        rows = finish(_rows_of_shard(weight, indices, shard.beside))
        trained = own if frozen_row is None else own & (ids != frozen_row)
        held = trained if mask_frozen else own
        lost = (ids < 0) & (lax.axis_index(shard.axis) == 0)
        _check_divides(vocab_axis, shard.axis, ids, scatter_axis, name)
        return _joined(
            rows, held, trained, lost, shard.axis, scatter_axis if inside else None
        )

    spec = [
        names if inside and axis == scatter_axis else None for axis in range(ids.ndim)
    ]
    rows = on_shards(
        local,
        vocab_axis,
        {"params.weight": weight},
        {name: ids},
        num_batch_axes=ids.ndim,
        out_specs=PartitionSpec(*spec),
    )
    if scatter_axis is not None and not inside:
        rows = _scattered(rows, scatter_axis, names)
    return spread(rows, out_sharding)


def _axis_to_shard(ids, names, out_sharding):
    """The axis of the result that is to lie where the rows of the table do, if any."""
    if out_sharding is None:
        spec = explicit_axes(ids) or ()
    else:
        spec = getattr(out_sharding, "spec", out_sharding)
    entries = [names_of(entry) for entry in spec]
    return entries.index(names) if names in entries[: ids.ndim] else None


def _scatters_inside(weight, ids, vocab_axis):
    """Whether each shard can take its part of the sum, whose batch is then its own.

    XLA gathers the batch for that, where axes that are not manual shard it.
    """
    if is_manual(vocab_axis):
        return True
    axes, of_table = explicit_axes(ids), explicit_axes(weight)
    if axes is None or of_table is None:
        return False
    return not {*jax.tree.leaves(axes)} & {*jax.tree.leaves(of_table[1:])}


def _scattered(rows, axis, names):
    """Rows that lie along one of their axes over the mesh axes `names`."""
    axes = explicit_axes(rows)
    if axes is not None:
        return jax.reshard(
            rows, sharding_like(rows, (*axes[:axis], names, *axes[axis + 1 :]))
        )
    mesh = jax.typeof(rows).sharding.mesh
    spec = [PartitionSpec.UNCONSTRAINED] * rows.ndim
    spec[axis] = names
    return lax.with_sharding_constraint(rows, NamedSharding(mesh, PartitionSpec(*spec)))


def _check_divides(vocab_axis, names, ids, scatter_axis, name):
    num_shards = lax.axis_size(names)
    if scatter_axis is not None and ids.shape[scatter_axis] % num_shards:
        raise ValueError(
            f"axis {scatter_axis} of {name}.shape={ids.shape} must be a multiple of "
            f"the {num_shards} shards of {vocab_axis=}; pad it, or leave scatter_axis "
            "out."
        )


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _rows_of_shard(weight, indices, beside):
    """Rows of a shard in its compute dtype, and others where an index is -1."""
    return lookup_rows(weight, indices, nan_outside=False)


@_rows_of_shard.defjvp
def _rows_of_shard_jvp(beside, primals, tangents):
    weight, indices = primals
    rows, tangent = _rows_of_shard(weight, indices, beside), jnp.asarray(tangents[0])
    of_batch = varying_axes(indices) - varying_axes(tangent)
    manual = tuple(name for name in beside if name in of_batch)
    total = indices.size * math.prod(map(lax.axis_size, manual))
    if manual and exceeds(weight.shape[0], total) is True:
        return rows, _taken_by_all(tangent, indices, manual, rows)
    mesh = jax.sharding.get_abstract_mesh()
    axes = tuple(name for name in mesh.auto_axes if mesh.shape[name] > 1)
    parts = math.prod(mesh.shape[name] for name in axes)
    more = exceeds(indices.size, weight.shape[0]) is True
    if parts == 1 or not more or indices.size % parts:
        return rows, take_rows(tangent, indices, like=rows)

    # For the transpose, the compiler would bring the rows of all tokens to each shard.
    # Here each device adds up a part of them, and these sums meet: fewer rows. The part
    # is what the device has, where automatic axes shard the first axis of a batch.
    def of_part(tangent, indices):
        like = jnp.zeros((len(indices), tangent.shape[1]), rows.dtype)
        return take_rows(tangent, indices, like=like)

    part = PartitionSpec(axes)
    taken = jax.shard_map(
        of_part, in_specs=(PartitionSpec(), part), out_specs=part, axis_names={*axes}
    )(tangent, indices.reshape(-1))
    return rows, taken.reshape(rows.shape)


def _taken_by_all(tangent, indices, axes, rows):
    """Rows of a shard that each device of the mesh axes `axes` takes for all batches.

    The transpose brings the rows of all batches together and adds them up in one table.
    Otherwise each device would add up its own, and whole shards would meet.
    """
    every = lax.all_gather(indices.reshape(-1), axes, tiled=True, to="invarying")
    like = jnp.zeros((every.size, tangent.shape[1]), rows.dtype)
    taken = varying_like([indices], take_rows(tangent, every, like=like))
    start = lax.axis_index(axes) * indices.size
    return lax.dynamic_slice_in_dim(taken, start, indices.size).reshape(rows.shape)


@partial(jax.custom_jvp, nondiff_argnums=(4, 5))
def _joined(rows, held, trained, lost, names, scatter_axis):
    """The rows of the shards that have `held` them, with NaN where `lost` on one."""
    nan = np.asarray(jnp.nan, rows.dtype)
    nan = nan.view(f"u{nan.itemsize}")
    bits = lax.bitcast_convert_type(rows, nan.dtype)
    bits = jnp.where(per_row(held, rows), bits, jnp.zeros_like(bits))
    bits = jnp.where(per_row(lost, rows), nan, bits)
    words = _summed(_as_words(bits), names, scatter_axis)
    bits = lax.bitcast_convert_type(words, nan.dtype)
    bits = bits.reshape(*words.shape[:-1], rows.shape[-1])
    return lax.bitcast_convert_type(bits, rows.dtype)


@_joined.defjvp
def _joined_jvp(names, scatter_axis, primals, tangents):
    rows, _, trained, _ = primals
    tangent = jnp.where(per_row(trained, rows), tangents[0], jnp.zeros_like(rows))
    # One term of the sum is not zero, so it is exact in any dtype. Only the transpose
    # of a scattered sum moves anything: in the narrow dtype then. XLA's CPU backend
    # aborts at a sum of 16-bit floats over some axes of a mesh.
    if not _is_one_collective(scatter_axis):
        tangent = tangent.astype(compute_dtype(rows.dtype))
    tangent = _summed(tangent, names, scatter_axis).astype(rows.dtype)
    return _joined(*primals, names, scatter_axis), tangent


def _summed(x, names, scatter_axis):
    """The sum of `x` over the mesh axes `names`, or this shard's part of it."""
    if _is_one_collective(scatter_axis):
        return lax.psum_scatter(x, names, scatter_dimension=scatter_axis, tiled=True)
    x = lax.psum(x, names)
    if scatter_axis is None:
        return x
    size = x.shape[scatter_axis] // lax.axis_size(names)
    start = lax.axis_index(names) * size
    return lax.dynamic_slice_in_dim(x, start, size, scatter_axis)


def _is_one_collective(scatter_axis):
    """Whether a sum is scattered by one collective.

    XLA would gather the terms for it, if axes that are not manual shard them.
    """
    mesh = jax.sharding.get_abstract_mesh()
    is_whole = set(mesh.manual_axes) == set(mesh.axis_names)
    return scatter_axis is not None and is_whole


def _as_words(bits):
    """Integers as uint32, if their number allows it: few backends add up shorter ones.

    Some widen 16-bit integers to add them up across devices, which moves twice as much.
    """
    per_word = math.gcd(4 // min(bits.dtype.itemsize, 4), bits.shape[-1])
    if per_word * bits.dtype.itemsize != 4:
        return bits
    groups = bits.reshape(*bits.shape[:-1], bits.shape[-1] // per_word, per_word)
    words = lax.bitcast_convert_type(groups if per_word > 1 else bits, jnp.uint32)
    return words
