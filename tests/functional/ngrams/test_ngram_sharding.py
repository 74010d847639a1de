"""N-grams on meshes: where rows lie, and n-grams from one device to the next."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jitted
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

HASHING = F.qwen4_exp_hashings(
    1, vocab_size=50, eos_id=3, min_rows=40, heads_per_ngram=2
)[0]
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 50, (4, 8), np.int32)
SEGMENTS = RNG.integers(0, 2, (4, 8), np.int32)
CONTEXT = RNG.integers(-1, 50, (4, 2), np.int32)


@jitted
def both(token_ids, segment_ids, context):
    options = {"segment_ids": segment_ids, "context": context}
    rows = F.ngram_row_ids(token_ids, HASHING, **options)
    return rows, F.ngram_context(token_ids, HASHING, **options)


EXPLICIT = AxisType.Explicit


@pytest.mark.parametrize(
    "axis_type, spec",
    (
        (AxisType.Auto, P("a", "b")),
        *((EXPLICIT, spec) for spec in (P("a"), P(None, "b"), P("a", "b"))),
    ),
    ids=str,
)
def test_rows_lie_as_the_batch_does(axis_type, spec):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    expected = both(TOKENS, SEGMENTS, CONTEXT)
    with jax.set_mesh(mesh):
        tokens, segments = (
            jax.device_put(array, NamedSharding(mesh, spec))
            for array in (TOKENS, SEGMENTS)
        )
        rows, context = both(tokens, segments, CONTEXT)
        if axis_type == EXPLICIT:
            assert jax.typeof(rows).sharding.spec == P(spec[0], None, None)
            assert jax.typeof(context).sharding.spec == P(spec[0], None)
    np.testing.assert_array_equal(rows, expected[0])
    np.testing.assert_array_equal(context, expected[1])


@pytest.mark.parametrize("manual", ({"a"}, {"a", "b"}), ids=len)
def test_shard_map(manual):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(AxisType.Explicit,) * 2)
    expected = both(TOKENS, SEGMENTS, CONTEXT)
    with jax.set_mesh(mesh):
        of_shard = jax.shard_map(
            both, in_specs=(P("a"),) * 3, out_specs=P("a"), axis_names=manual
        )
        arrays = (
            jax.device_put(array, NamedSharding(mesh, P("a")))
            for array in (TOKENS, SEGMENTS, CONTEXT)
        )
        found = jax.jit(of_shard)(*arrays)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_remat_and_vmap_of_a_lookup_under_grad():
    table = jnp.ones((HASHING.num_rows, 3))

    @jax.jit
    @jax.grad
    def gradient(table):
        def rows_of(ids):
            params = F.TokenEmbeddingParams(table)
            return F.apply_token_embedding(params, F.ngram_row_ids(ids, HASHING))

        return jax.vmap(jax.checkpoint(rows_of))(TOKENS).sum()

    counts = np.bincount(np.asarray(both(TOKENS, None, None)[0]).ravel())
    found = np.asarray(gradient(table))[: counts.size, 0]
    np.testing.assert_array_equal(found, counts)
