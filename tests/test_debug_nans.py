"""`jax_debug_nans` finds NaN only where the contract says so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import slow

import attnax
import attnax.functional as F

TABLE = np.arange(12.0, dtype=np.float32).reshape(6, 2)
IDS = np.array([[1, 2, 0], [5, 4, 2]], np.int32)
X = np.ones((2, 3, 2), np.float32)
SIZES = np.array([1, 3, 8], np.int32)
GRIDS, WHERE = np.array([[2, 3], [4, 1]], np.int32), np.zeros((2, 3, 2), np.int32)


def token(weight, ids):
    return F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids)


def learned(weight, ids):
    params = F.LearnedPositionalEmbeddingParams(weight)
    return F.apply_learned_positional_embedding(params, jnp.asarray(X), ids)


def text(weight, ids):
    tables = F.TokenEmbeddingParams(weight), F.LearnedPositionalEmbeddingParams(weight)
    params = F.TextEmbeddingParams(*tables, tables[0])
    return F.apply_text_embedding(params, ids, token_type_ids=ids, positions=ids)


def sinusoidal(weight, ids):
    return F.apply_positional_encoding(jnp.asarray(X) * weight[0, 1], ids, max_len=6)


def rotary(weight, ids):
    x = jnp.ones((2, 3, 1, 4), jnp.float32) * weight[0, 1]
    return attnax.RotaryEmbedding(4, 6)(x, ids)


def resized_at(weight, ids):
    smooth = F.Resampling("bilinear", antialias=True)
    where = jnp.asarray(WHERE) + jnp.asarray(ids // 6)[..., None]
    return F.resize_positions_at(weight, (2, 3), jnp.asarray(GRIDS), where, smooth)


def fused(weight, ids):
    return F.apply_fused_embedding(F.FusedEmbeddingParams(weight), ids)


def quantized(weight, ids):
    return F.apply_quantized_embedding(QUANTIZED, ids) * weight[0, 1]


QUANTIZED = jax.tree.map(np.asarray, F.quantize_table(TABLE))
LOOKUPS = token, learned, text, sinusoidal, rotary, fused, quantized, resized_at


def both_ways(lookup, weight, ids):
    """Rows and a gradient, of indices that the function cannot read."""
    loss = lambda weight, ids: jnp.sum(lookup(weight, ids) ** 2)
    rows = jax.jit(lookup)(weight, ids)
    return rows, jax.jit(jax.grad(loss))(weight, ids)


@pytest.mark.parametrize(
    ("lookup", "disable_jit"),
    (
        *((lookup, False) for lookup in LOOKUPS if lookup is not resized_at),
        *((lookup, True) for lookup in (token, learned)),
        pytest.param(resized_at, False, marks=pytest.mark.slow),
        *(pytest.param(lookup, True, marks=pytest.mark.slow) for lookup in LOOKUPS[2:]),
    ),
)
def test_lookups_of_what_is_there(lookup, disable_jit):
    with jax.debug_nans(True), jax.disable_jit(disable_jit):
        both_ways(lookup, TABLE, IDS)
        jax.vmap(lookup, (None, 0))(TABLE, jnp.asarray(IDS)[None])


@pytest.mark.parametrize("dtype", (jnp.bfloat16, *slow(jnp.float16, jnp.float8_e4m3fn)))
def test_lookups_in_narrow_tables(dtype):
    with jax.debug_nans(True), jax.disable_jit():
        rows = jax.vmap(token, (None, 0))(jnp.asarray(TABLE, dtype), jnp.asarray(IDS))
    np.testing.assert_array_equal(np.asarray(rows, np.float32), TABLE[IDS])


def test_tables_that_are_made():
    with jax.debug_nans(True):
        F.quantize_table(TABLE)
        equal = F.resize_vocabulary(np.ones_like(TABLE), 8, key=jax.random.key(0))
    np.testing.assert_array_equal(equal, 1.0)


@pytest.mark.parametrize("lookup", LOOKUPS)
def test_lookups_of_what_is_not_there(lookup):
    """JAX runs the function again where its values are known, and it says which."""
    with jax.debug_nans(True), pytest.raises(ValueError, match="must lie in"):
        jax.jit(lookup)(TABLE, IDS + 5)
