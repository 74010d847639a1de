"""Tables in the memory of the host: the rows, and where arrays lie."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, refused
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F
from attnax.functional._tables import host as of_attnax

written = pytest.mark.skipif(not host.WRITES, reason="jax cannot write to the host")
WEIGHT = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
IDS = np.array([[3, 0, 11], [5, 3, 3]], np.int32)


@pytest.mark.device
@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_rows_are_those_of_the_table_and_on_the_device(dtype):
    weight = WEIGHT.astype(dtype)
    table = F.table_on_host(weight)
    assert table.sharding.memory_kind == "pinned_host"
    rows = jax.jit(F.fetch_host_rows)(table, IDS)
    assert rows.sharding.memory_kind == jax.devices()[0].default_memory().kind
    assert_same_bits(rows, weight[IDS])
    assert_same_bits(F.fetch_host_rows(table, IDS), weight[IDS])


@written
@pytest.mark.device
def test_traced_indices_out_of_range_are_nan_and_are_not_written():
    table = F.table_on_host(WEIGHT)
    rows = jax.jit(F.fetch_host_rows)(table, np.array([-1, 2, 12]))
    np.testing.assert_array_equal(rows, [[np.nan] * 4, WEIGHT[2], [np.nan] * 4])
    new = jax.jit(F.write_host_rows)(
        table, np.array([-1, 2, 12]), np.ones((3, 4), np.float32)
    )
    expected = WEIGHT.copy()
    expected[2] = 1
    np.testing.assert_array_equal(np.asarray(new), expected)


@written
@pytest.mark.device
def test_unused_slots_are_not_written():
    """The ids of `row_gradient` end in them, outside `jit` too."""
    ids, rows = np.array([1, 4, 12, 12]), np.ones((4, 4), np.float32)
    table = F.table_on_host(WEIGHT)
    expected = WEIGHT.copy()
    expected[[1, 4]] = 1
    np.testing.assert_array_equal(F.write_host_rows(table, ids, rows), expected)
    traced = jax.jit(F.write_host_rows).lower(table, np.array([-1, 12, 4, 1]), rows)
    np.testing.assert_array_equal(
        traced.compile()(table, np.array([-1, 12, 4, 1]), rows), expected
    )


@written
def test_ids_that_are_not_written_are_distinct(monkeypatch):
    """The scatter promises so, and backends may take it at its word."""
    indices = []
    record = lambda work: lambda table, ids, rows: indices.append(ids) or table
    monkeypatch.setattr(of_attnax, "_on_host", record)
    table = F.table_on_host(WEIGHT)
    F.write_host_rows(table, [3, 12, 12, 12], np.ones((4, 4), np.float32))
    assert len(np.unique(indices[0])) == 4


@pytest.mark.errors
@pytest.mark.parametrize("shape", ((4,), (1, 4), (2, 1)))
def test_rows_are_not_broadcast(shape):
    message = r"rows.shape=.* must be \(2, 4\), one row of table.shape=\(12, 4\)"
    with refused(message):
        F.write_host_rows(F.table_on_host(WEIGHT), [0, 1], np.ones(shape, np.float32))


@written
@pytest.mark.device
def test_a_loop_that_fetches_the_rows_of_the_next_step():
    """Training with rows that were fetched a step before, and written back."""

    def step(table, rows, ids, next_ids):
        gradient = jax.grad(lambda rows: jnp.sum(rows**2))(rows)
        table = F.write_host_rows(table, ids, rows - 0.25 * gradient)
        return table, F.fetch_host_rows(table, next_ids)

    step = jax.jit(step, donate_argnums=0)
    batches = np.array([[0, 1], [2, 3], [1, 2], [4, 5]], np.int32)
    table = F.table_on_host(WEIGHT)
    rows = F.fetch_host_rows(table, batches[0])
    for ids, following in zip(batches, np.roll(batches, -1, 0), strict=True):
        table, rows = step(table, rows, ids, following)
    expected = WEIGHT.copy()
    for ids in batches:
        expected[ids] -= 0.25 * 2 * expected[ids]
    np.testing.assert_array_equal(np.asarray(table), expected)  # halved exactly


@written
@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("of_table", (P(), P("b"), P(None, "b")), ids=str)
def test_tables_and_ids_of_a_mesh(axis_type, of_table):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    batches = NamedSharding(mesh, P("a"))
    with jax.set_mesh(mesh):
        table = F.table_on_host(WEIGHT, out_sharding=NamedSharding(mesh, of_table))
        ids = jax.device_put(IDS[:, :2], batches)
        rows = jax.jit(F.fetch_host_rows)(table, ids)
        new = jax.device_put(-WEIGHT[IDS[:, :2]], batches)
        written = jax.jit(F.write_host_rows)(table, ids, new)
    assert_same_bits(rows, WEIGHT[IDS[:, :2]])
    assert rows.sharding.spec[0] == "a"
    expected = WEIGHT.copy()
    expected[IDS[:, :2]] *= -1
    assert_same_bits(written, expected)
    assert written.sharding.is_equivalent_to(table.sharding, 2)


@pytest.mark.errors
def test_a_table_on_the_device():
    for call in (F.fetch_host_rows, lambda *args: F.write_host_rows(*args, WEIGHT[:1])):
        with pytest.raises(ValueError, match="table is in the memory of a device"):
            call(jnp.asarray(WEIGHT), [0])


@pytest.mark.errors
def test_versions_that_cannot_write_to_the_host(monkeypatch):
    monkeypatch.setattr(of_attnax, "_WRITTEN_ON_HOST", (99,))
    table = F.table_on_host(WEIGHT)
    with pytest.raises(ValueError, match="table cannot be written where it is by jax"):
        F.write_host_rows(table, [0], WEIGHT[:1])


@pytest.mark.errors
def test_known_indices_out_of_range():
    table = F.table_on_host(WEIGHT)
    with pytest.raises(
        ValueError, match=r"fetch_host_rows: row_ids\[1\]=12 .* \[0, 12\)"
    ):
        F.fetch_host_rows(table, [0, 12])


@pytest.mark.errors
def test_a_traced_table_is_not_moved():
    with pytest.raises(ValueError, match="table is traced"):
        jax.eval_shape(F.table_on_host, WEIGHT)


@pytest.mark.errors
def test_devices_without_such_memory(monkeypatch):
    monkeypatch.setattr(of_attnax, "_KIND", "tape")
    message = r"'tape', but those of cpu have \['device', 'pinned_host'"
    with pytest.raises(ValueError, match=message):
        F.table_on_host(jnp.asarray(WEIGHT))
