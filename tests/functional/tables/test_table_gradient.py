"""The gradient of a table: under every transformation, and on every mesh."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F
from attnax.functional._tables import table_sums

RNG = np.random.default_rng(0)
TABLES = RNG.normal(size=(4, 7, 3)).astype(np.float32)
IDS = RNG.integers(0, 7, (4, 2, 5)).astype(np.int32)
TABLE, ID = TABLES[0], IDS[0]


def cubes(weight, ids):
    rows = F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids)
    return jnp.sum(rows**3)


def plain(weight, ids):
    return jnp.sum(weight[ids] ** 3)


grad = jax.grad
summed = lambda function: lambda *args: jnp.sum(function(*args))
TRANSFORMED = {
    "vmap of grad": (lambda f: jax.vmap(grad(f)), (TABLES, IDS)),
    "vmap of grad over tables": (lambda f: jax.vmap(grad(f), (0, None)), (TABLES, ID)),
    "vmap of grad over ids": (lambda f: jax.vmap(grad(f), (None, 0)), (TABLE, IDS)),
    "vmap over columns": (
        lambda f: jax.vmap(grad(f), (2, None), 1),
        (TABLES.transpose(1, 2, 0), ID),
    ),
    "grad of vmap": (lambda f: grad(summed(jax.vmap(f))), (TABLES, IDS)),
    "grad of vmap over tables": (
        lambda f: grad(summed(jax.vmap(f, (0, None)))),
        (TABLES, ID),
    ),
    "grad of vmap over ids": (
        lambda f: grad(summed(jax.vmap(f, (None, 0)))),
        (TABLE, IDS),
    ),
    "two axes": (
        lambda f: jax.vmap(jax.vmap(grad(f), (None, 0)), (0, None)),
        (TABLES, IDS),
    ),
    "hessian": (jax.hessian, (TABLE, ID)),
    "reverse of reverse": (lambda f: jax.jacrev(jax.jacrev(f)), (TABLE, ID)),
    "third derivative": (
        lambda f: grad(summed(grad(summed(grad(f))))),
        (TABLE, ID),
    ),
    "remat": (lambda f: grad(jax.checkpoint(f)), (TABLE, ID)),
    "scan": (
        lambda f: grad(
            lambda weight, ids: jax.lax.scan(
                lambda total, ids: (total + f(weight, ids), None), 0.0, ids
            )[0]
        ),
        (TABLE, IDS),
    ),
}


SLOW = "third derivative", "reverse of reverse", "two axes", "vmap over columns"


@pytest.mark.parametrize(
    "name", [*(n for n in TRANSFORMED if n not in SLOW), *slow(*SLOW)]
)
def test_every_transformation_is_that_of_plain_indexing(name):
    transform, args = TRANSFORMED[name]
    actual, expected = (jax.jit(transform(f))(*args) for f in (cubes, plain))
    # Ten rows meet at most; cubes and their derivatives are below 200 in all.
    np.testing.assert_allclose(actual, expected, rtol=0, atol=200 * 10 * 2.0**-24)


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_both_forms_of_a_table_of_sums(dtype):
    """Tables of more, about as many and fewer rows than ids; a CPU adds in turn."""
    for num_rows, columns in ((100, 2), (80, 64), (60, 64), (60, 2), (40, 64), (5, 2)):
        ids = RNG.integers(-1, num_rows, 40).astype(np.int32)
        rows = RNG.normal(size=(40, columns)).astype(np.float32)
        rows[RNG.random(40) < 0.2] = -0.0  # sums of these are 0
        rows[ids < 0] = np.nan
        expected = np.zeros((num_rows, columns), np.float32)
        np.add.at(expected, ids[ids >= 0], rows[ids >= 0])
        make = jitted(table_sums.table_of_sums_in_turn)
        assert_same_bits(make(ids, rows, num_rows, dtype), expected.astype(dtype))
        if columns > 2:  # the form of other devices compiles slowly and is the same
            continue
        actual = jitted(table_sums.table_of_sums)(ids, rows, num_rows, dtype)
        # Sums of size 10 in another order, and a rounding of either.
        atol = 10 * (40 * 2.0**-24 + float(jnp.finfo(dtype).eps))
        assert actual.dtype == dtype
        np.testing.assert_allclose(actual.astype(np.float32), expected, atol=atol)


def test_one_row_is_added_to_zero():
    """XLA would write it where it is added, and 0 + -0 is 0."""
    for num_rows, dtype in ((1, jnp.float32), (5, jnp.float32), (5, jnp.bfloat16)):
        rows = np.full((1, 2), -0.0, np.float32)
        id_ = np.zeros(1, np.int32)
        table = jitted(table_sums.table_of_sums_in_turn)(id_, rows, num_rows, dtype)
        assert_same_bits(table, np.zeros((num_rows, 2), dtype))


@jitted
def pulled_back(weight, ids, cotangent):
    rows = lambda w: F.apply_token_embedding(F.TokenEmbeddingParams(w), ids)
    return jax.vjp(rows, weight)[1](cotangent)[0]


@functools.cache
def on_one_device(count, num_rows):
    rng = np.random.default_rng(count)
    weight = np.zeros((num_rows, 4), np.float32)
    ids = rng.integers(0, 9, (4, count // 4)).astype(np.int32)
    cotangent = rng.normal(size=(*ids.shape, 4)).astype(np.float32)
    return weight, ids, cotangent, np.asarray(pulled_back(weight, ids, cotangent))


TABLE_SPECS = (P("a"), *slow(P(), P("b"), P(None, "a"), P("b", "a")), P(("b", "a")))


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("of_table", TABLE_SPECS, ids=str)
def test_bits_are_the_same_on_every_mesh_where_rows_travel(axis_type, of_table):
    """The order of rows shows in float32 sums, and ids are no more than a shard."""
    weight, ids, cotangent, expected = on_one_device(32, 128)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    with jax.set_mesh(mesh):
        put = lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec))
        args = put(weight, of_table), put(ids, P("a")), put(cotangent, P("a"))
        assert_same_bits(pulled_back(*args), expected)


@pytest.mark.parametrize("of_table", TABLE_SPECS, ids=str)
@pytest.mark.parametrize("of_ids", (P("a"), *slow(P(("a", "b")), P("b", "a"))), ids=str)
def test_more_tokens_than_rows_are_added_up_where_they_are(of_table, of_ids):
    weight, ids, cotangent, expected = on_one_device(80, 32)
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    with jax.set_mesh(mesh):
        put = lambda x, spec: jax.device_put(x, NamedSharding(mesh, spec))
        args = put(weight, of_table), put(ids, of_ids), put(cotangent, of_ids)
        actual = pulled_back(*args)
        # At most 30 rows of size below 4 meet, in another order.
        np.testing.assert_allclose(actual, expected, atol=30 * 4 * 30 * 2.0**-24)
