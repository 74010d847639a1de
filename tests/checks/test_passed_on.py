"""What is passed on to JAX: random keys, shardings and precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused
from small_arguments import (
    IDS,
    KEY,
    LEARNED,
    TOKENS,
    X,
    of,
)

import attnax.functional as F

# What JAX reads: shardings of results, and precisions of products.
PASSED_ON = (
    *of(F.init_token_embedding, KEY, 5, 4)("out_sharding"),
    *of(F.apply_token_embedding, TOKENS, IDS)("out_sharding"),
    *of(F.apply_token_unembedding, TOKENS, X)("out_sharding", "precision"),
    *of(F.apply_learned_positional_embedding, LEARNED, X)("out_sharding"),
)


@pytest.mark.errors
@pytest.mark.parametrize("name, call", PASSED_ON)
def test_settings_for_jax_are_named(name, call):
    for value in ("x", 3.5, {}, (), np.ones(3)):
        with refused(rf"\w+: {name}=.* must be a "):
            call(value)


MAKERS = (
    lambda key: F.init_token_embedding(key, 5, 4),
    lambda key: F.init_learned_positional_embedding(key, 5, 4),
    lambda key: F.init_mixed_rope(key, num_heads=3, head_dim=8),
    lambda key: F.init_patch_embedding(key, patch_size=2, num_channels=3, d_model=4),
    lambda key: F.init_text_embedding(key, vocab_size=5, num_positions=3, d_model=4),
    lambda key: F.init_vision_embedding(
        key, patch_size=2, num_channels=3, d_model=4, table_grid=(2, 3)
    ),
)


@pytest.mark.errors
@pytest.mark.parametrize("make", MAKERS)
def test_a_key_is_one_random_key(make):
    several = jax.random.split(KEY)
    words = jnp.zeros((2, 2), jnp.uint32)
    for bad in (None, 3, [0, 1], several, words, words[0].astype(jnp.int32), X):
        with refused(r"init_\w+: key is an? .*, but must be one random key; make it"):
            make(bad)
    raw = make(jax.random.PRNGKey(0))
    jax.tree.map(np.testing.assert_array_equal, raw, make(jax.random.key(0)))
    assert jax.tree.leaves(jax.vmap(make)(several))[0].shape[0] == 2
