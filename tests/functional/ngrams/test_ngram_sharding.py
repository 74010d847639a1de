"""N-grams on meshes: where rows lie, and n-grams from one device to the next."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import jitted, slow
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from ngram_oracles import row_ids

import attnax.functional as F

HASHING = F.qwen4_exp_hashings(
    1, vocab_size=50, eos_id=3, min_rows=40, heads_per_ngram=1
)[0]
RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 50, (4, 8), np.int32)
SEGMENTS = RNG.integers(0, 2, (4, 8), np.int32)
CONTEXT = RNG.integers(-1, 50, (4, 2), np.int32)
TOKEN_MAP = RNG.permutation(50).astype(np.int32)


@jitted
def all_three(token_ids, segment_ids, context, token_map=TOKEN_MAP):
    options = {"segment_ids": segment_ids, "context": context}
    of_map = options | {"token_map": token_map}
    return (
        F.ngram_row_ids(token_ids, HASHING, **of_map),
        F.ngram_signs(token_ids, HASHING, **of_map),
        F.ngram_context(token_ids, HASHING, **options),
    )


EXPECTED = functools.cache(lambda: all_three(TOKENS, SEGMENTS, CONTEXT))
EXPLICIT = AxisType.Explicit


@pytest.mark.parametrize(
    "axis_type, spec",
    (
        (AxisType.Auto, P("a", "b")),
        (EXPLICIT, P("a", "b")),
        *(
            pytest.param(EXPLICIT, spec, marks=pytest.mark.slow)
            for spec in (P("a"), P(None, "b"), P(("a", "b")))
        ),
    ),
    ids=str,
)
def test_rows_lie_as_the_tokens_do(axis_type, spec):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    expected = EXPECTED()
    token_map = jnp.asarray(TOKEN_MAP)  # made outside the mesh
    with jax.set_mesh(mesh):
        tokens, segments = (
            jax.device_put(array, NamedSharding(mesh, spec))
            for array in (TOKENS, SEGMENTS)
        )
        rows, signs, context = all_three(tokens, segments, CONTEXT, token_map)
        if axis_type == EXPLICIT:
            wanted = P(*(*spec, None)[:2], None)
            assert jax.typeof(rows).sharding.spec == wanted
            assert jax.typeof(signs).sharding.spec == wanted
            assert jax.typeof(context).sharding.spec == P(spec[0], None)
    found = rows, signs, context
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_outside_jit_with_a_map_from_outside_the_mesh():
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(EXPLICIT,) * 2)
    token_map = jnp.asarray(TOKEN_MAP)
    options = {"segment_ids": SEGMENTS, "context": CONTEXT}
    with jax.set_mesh(mesh):
        tokens = jax.device_put(TOKENS, NamedSharding(mesh, P("a")))
        found = F.ngram_row_ids(tokens, HASHING, token_map=token_map, **options)
        assert jax.typeof(found).sharding.spec == P("a", None, None)
    np.testing.assert_array_equal(found, EXPECTED()[0])


def test_each_device_computes_its_part_of_a_sequence():
    hashing = F.engram_hashings([1], min_rows=40, vocab_size=50)[0]
    mesh = jax.make_mesh((4,), ("seq",), axis_types=(EXPLICIT,))
    with jax.set_mesh(mesh):
        tokens = jax.device_put(np.zeros((1, 4096), np.int32), P(None, "seq"))
        rows_of = jax.jit(lambda x: F.ngram_row_ids(x, hashing))
        compiled = rows_of.lower(tokens).compile()
    whole = 4 * 16 * 4096  # bytes of the rows of 16 heads
    assert compiled.memory_analysis().output_size_in_bytes == whole // 4
    assert re.search(r"\[(1,)?1024,\d+\]", compiled.as_text())
    assert not re.search(r"\[(1,)?4096,\d+\]", compiled.as_text())


def test_a_context_from_the_device_before():
    # In place of the gather: only the last tokens of each part move.
    mesh = jax.make_mesh((4,), ("seq",), axis_types=(EXPLICIT,))

    @jax.shard_map(in_specs=P(None, "seq"), out_specs=P(None, "seq"))
    def rows_of(token_ids):
        last = F.ngram_context(token_ids, HASHING)
        before = jax.lax.ppermute(last, "seq", [(i, i + 1) for i in range(3)])
        before = jnp.where(jax.lax.axis_index("seq") == 0, -1, before)
        return F.ngram_row_ids(token_ids, HASHING, context=before)

    with jax.set_mesh(mesh):
        tokens = jax.device_put(TOKENS, P(None, "seq"))
        found = jax.jit(rows_of)(tokens)
    for b in range(4):
        np.testing.assert_array_equal(found[b], row_ids(HASHING, TOKENS[b]))


@pytest.mark.parametrize("manual", ({"a"}, *slow({"a", "b"})), ids=len)
def test_shard_map(manual):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(EXPLICIT,) * 2)
    expected = EXPECTED()
    with jax.set_mesh(mesh):
        of_shard = jax.shard_map(
            all_three, in_specs=(P("a"),) * 3, out_specs=P("a"), axis_names=manual
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

    found = np.stack([row_ids(HASHING, of_one) for of_one in TOKENS])
    counts = np.bincount(found.ravel())
    found = np.asarray(gradient(table))[: counts.size, 0]
    np.testing.assert_array_equal(found, counts)
