"""Products by distance on meshes: heads on devices, and queries on devices."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from query_biases import normal

import attnax.functional as F

LENGTH, HEADS, WIDTH = 8, 4, 8
Q, K = normal(0, 2, LENGTH, HEADS, WIDTH), normal(1, 2, LENGTH, HEADS, WIDTH)
PROBABILITIES = normal(2, 2, HEADS, LENGTH, LENGTH)
POSITIONS = np.arange(LENGTH, dtype=np.int32)
DISENTANGLED = F.DisentangledBias(HEADS, WIDTH, max_distance=9, num_buckets=4)
WINDOW = F.RelativeKeyBias(HEADS, WIDTH, left=3, right=2, zero_outside=True)
VALUES = F.RelativeValueParams(normal(3, 6, WIDTH))
ROWS = F.DisentangledParams(normal(4, 8, HEADS, WIDTH), normal(5, 8, HEADS, WIDTH))
axis_types = pytest.mark.parametrize(
    "axis_type", (AxisType.Explicit, *slow(AxisType.Auto))
)


def disentangled(q, k, q_positions=range(LENGTH)):
    positions = q_positions, range(LENGTH)
    return F.apply_position_bias(DISENTANGLED, ROWS, *positions, q=q, k=k)


def values(p):
    positions = range(LENGTH), range(LENGTH)
    return F.apply_relative_values(WINDOW, VALUES, p, *positions)


def placed(axis_type, array, *spec):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    return mesh, jax.device_put(array, NamedSharding(mesh, P(*spec)))


def check(made, arrays, axis_type, spec):
    """The result and the gradients of a function are those of one device."""

    def loss(*arrays):
        return jnp.sum(made(*arrays) ** 2)

    wanted = jax.jit(made)(*map(np.asarray, arrays))
    every = tuple(n for n, x in enumerate(arrays) if x.dtype == np.float32)
    gradients = jax.jit(jax.grad(loss, every))(*map(np.asarray, arrays))
    mesh = arrays[0].sharding.mesh
    with jax.set_mesh(mesh):
        actual = jax.jit(made)(*arrays)
        if axis_type == AxisType.Explicit:
            assert jax.typeof(actual).sharding.spec == P(*spec)
        found = jax.jit(jax.grad(loss, every))(*arrays)
    # Sums of at most 32 products below 200, in another order.
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=1e-4)
    for one, other in zip(found, gradients, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=32 * 200 * 2.0**-22)


@axis_types
def test_heads_on_devices(axis_type):
    arrays = [placed(axis_type, x, "b", None, "a")[1] for x in (Q, K)]
    check(disentangled, arrays, axis_type, ("b", "a", None, None))
    arrays = [placed(axis_type, PROBABILITIES, "b", "a")[1]]
    check(values, arrays, axis_type, ("b", None, "a", None))


@axis_types
def test_queries_on_devices(axis_type):
    mesh, q = placed(axis_type, Q, None, "b")
    positions = jax.device_put(POSITIONS, NamedSharding(mesh, P("b")))
    k = jax.device_put(K, NamedSharding(mesh, P()))

    check(disentangled, [q, k, positions], axis_type, (None, None, "b", None))


def test_gradients_of_what_every_device_has():
    """Queries differ from device to device, and keys and tables do not."""
    mesh = jax.make_mesh((2,), ("a",), axis_types=(AxisType.Auto,))

    def bias(q, k, rows):
        positions = range(LENGTH), range(LENGTH)
        return F.apply_position_bias(DISENTANGLED, rows, *positions, q=q, k=k)

    def loss(made):
        return lambda *arrays: (made(*arrays) ** 2).sum()

    on_devices = jax.shard_map(
        bias, mesh=mesh, in_specs=(P("a"), P(), P()), out_specs=P("a")
    )
    arrays = Q, K[0], ROWS
    wanted = jax.jit(jax.grad(loss(bias), (0, 1, 2)))(*arrays)
    actual = jax.jit(jax.grad(loss(on_devices), (0, 1, 2)))(*arrays)
    # Sums of at most 128 products below 200, in another order.
    close = partial(np.testing.assert_allclose, rtol=0, atol=128 * 200 * 2.0**-22)
    jax.tree.map(close, actual, wanted)
    alone = jax.jit(jax.grad(lambda k: loss(on_devices)(Q, k, ROWS)))(K[0])
    close(alone, wanted[1])
