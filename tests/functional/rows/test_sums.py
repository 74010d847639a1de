"""Sums of row gradients: of micro-batches, across replicas, and parts of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

VOCAB_SIZE = 40
dense_gradient = jitted(F.dense_gradient)


def draw_gradients(count, num_rows=6, dtype=np.float32):
    """Gradients along a leading axis, each with distinct ids and an unused slot."""
    rng = np.random.default_rng(0)
    ids = [np.sort(rng.choice(20, num_rows, replace=False)) for _ in range(count)]
    ids = np.array(ids, np.int32)
    rows = rng.normal(size=(count, num_rows, 3)).astype(dtype)
    ids[:, -1], rows[:, -1] = VOCAB_SIZE, 0.0
    return F.RowGradient(ids, rows)


def sum_in_float64(gradients):
    expected = np.zeros((VOCAB_SIZE + 1, 3))
    np.add.at(expected, gradients.row_ids, np.asarray(gradients.rows, np.float64))
    return expected[:-1]


@jax.jit
def both_sums(*gradients):
    return [F.sum_row_gradients(g, vocab_size=VOCAB_SIZE) for g in gradients]


@pytest.mark.device
@pytest.mark.parametrize("dtype", (jnp.bfloat16, *slow(np.float32)))
def test_sum_of_micro_batches(dtype):
    stacked = draw_gradients(4, dtype=dtype)
    parts = [F.RowGradient(*part) for part in zip(*stacked, strict=True)]
    total, same = both_sums(stacked, parts)
    assert total.rows.shape == (24, 3)
    assert total.rows.dtype == np.float32
    expected = sum_in_float64(stacked)
    # At most four rows of size at most 4 meet.
    assert_close(dense_gradient(total, VOCAB_SIZE), expected, magnitude=16.0)
    assert_same_bits(same.rows, total.rows)
    assert_same_bits(same.row_ids, total.row_ids)


def sum_of(gradients):
    return jitted(F.sum_row_gradients)(gradients, vocab_size=VOCAB_SIZE)


def psum(gradient):
    return F.psum_row_gradient(gradient, "data", vocab_size=VOCAB_SIZE)


@pytest.mark.slow
def test_psum_under_vmap_is_the_sum_in_the_order_of_replicas():
    stacked = draw_gradients(4)
    total = sum_of(stacked)
    of_all = jax.jit(jax.vmap(psum, axis_name="data"))(stacked)
    for replica in range(4):
        assert_same_bits(of_all.rows[replica], total.rows)
        assert_same_bits(of_all.row_ids[replica], total.row_ids)


@pytest.mark.parametrize(
    "case",
    (
        (AxisType.Explicit, True),
        *slow((AxisType.Auto, False), (AxisType.Auto, True)),
        *slow((AxisType.Explicit, False)),
    ),
)
def test_psum_under_shard_map_is_the_same_on_all_replicas(case):
    axis_type, partly = case
    stacked = draw_gradients(4 if not partly else 2)
    total = sum_of(stacked)
    shape, names = ((2, 2), ("data", "model")) if partly else ((4,), ("data",))
    mesh = jax.make_mesh(shape, names, axis_types=(axis_type,) * len(shape))
    of_replica = lambda gradient: psum(jax.tree.map(lambda x: x[0], gradient))
    with jax.set_mesh(mesh):
        stacked = jax.device_put(stacked, NamedSharding(mesh, P("data")))
        mapped = jax.shard_map(
            of_replica, in_specs=P("data"), out_specs=P(), axis_names={"data"}
        )
        of_all = jax.jit(mapped)(stacked)
    assert_same_bits(of_all.rows, total.rows)
    assert_same_bits(of_all.row_ids, total.row_ids)


@pytest.mark.parametrize("num_rows", (10, *slow(4, 30)))
def test_local_gradients_are_the_shards_of_the_dense_one(num_rows):
    gradient = jax.tree.map(lambda x: x[0], draw_gradients(1, 12))
    dense = np.asarray(dense_gradient(gradient, VOCAB_SIZE))
    of_shard = jitted(F.local_row_gradient)
    for first in range(0, VOCAB_SIZE, num_rows):
        local = of_shard(gradient, np.int32(first), num_rows)
        assert local.row_ids.shape == (min(12, num_rows),)
        expected = dense[first : first + num_rows]
        expected = np.pad(expected, ((0, num_rows - len(expected)), (0, 0)))
        assert_same_bits(dense_gradient(local, num_rows), expected)
        used = np.asarray(local.row_ids) < num_rows
        assert (np.diff(np.asarray(local.row_ids)[used]) > 0).all()
        np.testing.assert_array_equal(np.asarray(local.rows)[~used], 0.0)


@pytest.mark.errors
def test_errors_of_sums():
    gradient = jax.tree.map(lambda x: x[0], draw_gradients(1))
    with refused("gradients is a list, but must be a RowGradient, or a list of at le"):
        F.sum_row_gradients([], vocab_size=4)
    wide = gradient._replace(rows=np.ones((6, 4), np.float32))
    with refused(r"gradients have rows of the widths=\[3, 4\], which must be equal"):
        F.sum_row_gradients([gradient, wide], vocab_size=4)
    with refused(r"gradients\[1\] is a dict, but must be an attnax.functional.RowGrad"):
        F.sum_row_gradients([gradient, {}], vocab_size=4)
    with refused("vocab_size=-1 must be a positive integer"):
        F.psum_row_gradient(gradient, "data", vocab_size=-1)
    for axis_name in ("data", []):
        with refused(r"axis_name=('data'|\[\]) must be the name of an axis of"):
            F.psum_row_gradient(gradient, axis_name, vocab_size=4)
    for num_rows in (0, 2**40):
        message = rf"num_rows={num_rows} must be an integer in \[1, 2147483647\]"
        with refused(message):
            F.local_row_gradient(gradient, 0, num_rows)
    with refused(r"first_row.shape=\(2,\) must be one integer"):
        F.local_row_gradient(gradient, np.array([0, 1]), 2)
