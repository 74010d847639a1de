"""Tables of tokens on meshes: draws, lookups and logits, and where they lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from lookups import unembed

import attnax.functional as F

lookup = jitted(F.apply_token_embedding)


AXES = pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))


# Whole pieces of rows and of columns, and copies of either, on three meshes.
SPREADS = [
    (spec, shape)
    for spec in (P("a"), P(None, "b"), P("a", "b"), P(("a", "b")))
    for shape in ((4, 1), (2, 2), (1, 4))
]
QUICK = (
    (P(None, "b"), (1, 4), 64),
    (P("a", "b"), (2, 2), 12),
    (P(("a", "b")), (2, 2), 64),
)


@AXES
@pytest.mark.parametrize(
    "spec, shape, d_model",
    [
        pytest.param(
            *case, marks=() if case in QUICK else pytest.mark.slow, id=str(case)
        )
        for case in ((*spread, width) for spread in SPREADS for width in (12, 64))
    ],
)
def test_sharded_init_has_the_same_values_on_every_mesh(
    axis_type, spec, shape, d_model
):
    draw = lambda **options: F.init_token_embedding(
        jax.random.key(0), 64, d_model, init_std=0.3, padding_id=5, **options
    )
    plain = draw().weight
    mesh = jax.make_mesh(shape, ("a", "b"), axis_types=(axis_type,) * 2)
    sharding = NamedSharding(mesh, spec)
    weight = draw(out_sharding=sharding).weight
    assert weight.sharding.is_equivalent_to(sharding, 2)
    if d_model == 64:
        assert_same_bits(weight, plain)
    else:  # shards too narrow for vectors: the inverse error function rounds anew
        np.testing.assert_allclose(weight, plain, rtol=4 * 2.0**-23, atol=0)


def test_sharded_init_of_a_256k_table_makes_no_full_copy():
    mesh = jax.make_mesh((4,), ("a",), axis_types=(AxisType.Auto,))
    sharding = NamedSharding(mesh, P("a", None))
    draw = lambda key: (
        F.init_token_embedding(
            key, 256_000, 128, dtype=jnp.float32, out_sharding=sharding
        ).weight
    )
    compiled = jax.jit(draw).lower(jax.random.key(0)).compile()
    memory = compiled.memory_analysis()
    whole = 256_000 * 128 * 4
    assert memory.output_size_in_bytes == whole // 4
    # Per device: random bits, their float form and the shard.
    assert memory.temp_size_in_bytes < whole


WEIGHT = np.random.default_rng(0).normal(size=(12, 6)).astype(np.float32)


@jitted
def squares_step(weight, ids, **options):
    """Rows, and the gradient of the sum of their squares."""

    def loss(weight):
        params = F.TokenEmbeddingParams(weight=weight)
        rows = F.apply_token_embedding(params, ids, **options)
        return jnp.sum(rows.astype(jnp.float32) ** 2), rows

    (_, rows), gradient = jax.value_and_grad(loss, has_aux=True)(weight)
    return rows, gradient


@AXES
@pytest.mark.parametrize("table_spec", (P(), P("b", None), P(None, "b")))
def test_sharded_lookup_and_gradient(axis_type, table_spec):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    ids = np.array([[3, 3, 0], [11, 5, 3], [1, 2, 4], [4, 4, 11]], np.int32)
    plain, gradient = squares_step(WEIGHT, ids)
    with jax.set_mesh(mesh):
        w = jax.device_put(WEIGHT, NamedSharding(mesh, table_spec))
        i = jax.device_put(ids, NamedSharding(mesh, P("a")))
        rows, actual = squares_step(w, i)
        assert_same_bits(rows, plain)
        assert_close(actual, np.asarray(gradient), magnitude=32.0)
        if axis_type is AxisType.Explicit:
            assert jax.typeof(rows).sharding.spec == P("a", None, None)


def test_explicit_out_sharding_of_rows_and_logits():
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    ids = np.arange(8, dtype=np.int32).reshape(4, 2)
    params = F.TokenEmbeddingParams(weight=jnp.asarray(WEIGHT))
    plain = lookup(params, ids)
    logits = unembed(params, plain)
    with jax.set_mesh(mesh):
        params = jax.device_put(params, NamedSharding(mesh, P()))
        ids = jax.device_put(ids, NamedSharding(mesh, P("a")))
        rows = F.apply_token_embedding(params, ids, out_sharding=P("a", None, "b"))
        assert jax.typeof(rows).sharding.spec == P("a", None, "b")
        assert_same_bits(rows, plain)
        rows = F.apply_token_embedding(params, ids)
        heads = F.apply_token_unembedding(params, rows, out_sharding=P("a", None, "b"))
        assert jax.typeof(heads).sharding.spec == P("a", None, "b")
        assert_close(heads, np.asarray(logits), magnitude=6 * 16.0)


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
@pytest.mark.parametrize(
    "options", ({"padding_id": 3, "mask_padding": True}, *slow({}))
)
@pytest.mark.parametrize(
    ("of_ids", "out"),
    ((P("a"), P()), (P("b"), P("a")), (P("a"), P(None, None, "a"))),
    ids=str,
)
def test_explicit_out_sharding_may_be_another_than_that_of_ids(
    of_ids, out, options, dtype
):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    weight = WEIGHT.astype(dtype)
    ids = np.arange(8, dtype=np.int32).reshape(4, 2)
    plain, gradient = squares_step(weight, ids, **options)
    with jax.set_mesh(mesh):
        weight = jax.device_put(weight, NamedSharding(mesh, P()))
        ids = jax.device_put(ids, NamedSharding(mesh, of_ids))
        rows, actual = squares_step(weight, ids, out_sharding=out, **options)
        assert jax.typeof(rows).sharding.spec == P(*out, *[None] * (3 - len(out)))
        assert_same_bits(rows, plain)
        assert_same_bits(actual, gradient)
