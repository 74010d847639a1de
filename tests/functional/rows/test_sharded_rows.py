"""Row gradients and updates on several devices: what travels, and what comes out."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import assert_close, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

VOCAB_SIZE, D_MODEL, NUM_IDS = 4096, 8, 16
ADAGRAD = optax.adagrad(0.1)
COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)"
    r"(?:-start)?\("
)


def loss(weight, ids):
    rows = F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids)
    return jnp.sum(jnp.sin(rows) * rows)


value_and_grad = F.row_value_and_grad(loss, lambda w: w, lambda w, ids: ids)


def step(weight, state, ids):
    return F.update_rows(ADAGRAD, value_and_grad(weight, ids)[1], state, weight)


def draw():
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(VOCAB_SIZE, D_MODEL)).astype(np.float32)
    # All devices read rows of all shards, and some read the same ones.
    ids = (rng.integers(0, 12, NUM_IDS) * 341).astype(np.int32)
    return weight, ids


def expected_of(weight, ids):
    """A step of Adagrad in float64, whose first sum of squares is 0.1."""
    weight = weight.astype(np.float64)
    slope = np.sin(weight) + weight * np.cos(weight)
    gradient = slope * np.bincount(ids, minlength=VOCAB_SIZE)[:, None]
    return weight - 0.1 * gradient / np.sqrt(0.1 + gradient**2 + 1e-7)


def travelling(compiled):
    """The names and the numbers of elements of all arrays in collectives."""
    return [
        (name, int(np.prod([int(n) for n in dims.split(",") if n])))
        for shapes, name in COLLECTIVE.findall(compiled.as_text())
        for dims in re.findall(r"\w+\[([\d,]*)\]", shapes)
    ]


def check(compiled, weight, state, ids, expected, names):
    found = travelling(compiled)
    assert found
    assert {name for name, _ in found} <= names
    assert max(size for _, size in found) <= NUM_IDS * D_MODEL
    actual, _ = compiled(weight, state, ids)
    # Weights of size at most 4 move by at most 0.1.
    assert_close(np.asarray(actual), expected, magnitude=4.1)


def test_replicas_exchange_ids_and_rows_alone():
    """pytorch/pytorch#5309: no collective has the size of the table."""
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))

    def of_replica(weight, state, ids):
        gradient = value_and_grad(weight, ids)[1]
        total = F.psum_row_gradient(gradient, "data", vocab_size=VOCAB_SIZE)
        return F.update_rows(ADAGRAD, total, state, weight)

    mapped = jax.shard_map(
        of_replica, mesh=mesh, in_specs=(P(), P(), P("data")), out_specs=P()
    )
    weight, ids = draw()
    expected = expected_of(weight, ids)
    state = ADAGRAD.init(weight)
    weight, state = jax.device_put((weight, state), NamedSharding(mesh, P()))
    ids = jax.device_put(ids, NamedSharding(mesh, P("data")))
    compiled = jax.jit(mapped).lower(weight, state, ids).compile()
    # `invarying` gathers are sums of arrays that are zero elsewhere.
    check(compiled, weight, state, ids, expected, {"all-gather", "all-reduce"})


@pytest.mark.parametrize(
    "case",
    (
        (AxisType.Explicit, P("data")),
        *slow((AxisType.Auto, P("data"))),
        *slow((AxisType.Auto, P()), (AxisType.Explicit, P())),
        *slow((AxisType.Auto, P(None, "data")), (AxisType.Explicit, P(None, "data"))),
    ),
)
def test_sharded_tables_are_updated_where_they_lie(case):
    axis_type, of_table = case
    mesh = jax.make_mesh((4,), ("data",), axis_types=(axis_type,))
    weight, ids = draw()
    expected = expected_of(weight, ids)
    with jax.set_mesh(mesh):
        sharding = NamedSharding(mesh, of_table)
        weight, state = jax.tree.map(
            lambda x: jax.device_put(x, sharding if jnp.ndim(x) else None),
            (weight, ADAGRAD.init(weight)),
        )
        ids = jax.device_put(ids, NamedSharding(mesh, P("data")))
        compiled = jax.jit(step).lower(weight, state, ids).compile()
        names = {"all-reduce", "all-gather", "collective-permute", "all-to-all"}
        check(compiled, weight, state, ids, expected, names)
        new = compiled(weight, state, ids)[0]
    assert new.sharding.is_equivalent_to(sharding, 2)
