"""Params that a checkpoint gave back as plain dicts or lists."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import refused

import attnax.functional as F

KEY = jax.random.key(0)
IDS, X = np.zeros((1, 3), np.int32), jnp.zeros((1, 3, 4))
TOKEN = F.TokenEmbeddingParams(jnp.zeros((5, 4)))
LEARNED = F.LearnedPositionalEmbeddingParams(jnp.zeros((6, 4)))
PATCH = F.PatchEmbeddingParams(jnp.zeros((4, 4)), None)
TEXT = F.TextEmbeddingParams(TOKEN, LEARNED, None)
VISION = F.VisionEmbeddingParams(PATCH, LEARNED, None, None)
PACKED = F.PackedPatches(
    jnp.zeros((1, 3, 4)),
    np.zeros((1, 3, 2), np.int32),
    np.ones((1, 3), bool),
    np.array([[2, 3]], np.int32),
)
GRID = {"table_grid": (2, 3), "resampling": F.Resampling("bilinear", False)}
FUNCTIONS = {
    "apply_token_embedding": (TOKEN, lambda p: F.apply_token_embedding(p, IDS)),
    "apply_token_unembedding": (TOKEN, lambda p: F.apply_token_unembedding(p, X)),
    "apply_learned_positional_embedding": (
        LEARNED,
        lambda p: F.apply_learned_positional_embedding(p, X),
    ),
    "apply_text_embedding": (TEXT, lambda p: F.apply_text_embedding(p, IDS)),
    "apply_patch_embedding": (
        PATCH,
        lambda p: F.apply_patch_embedding(p, jnp.zeros((4, 6, 1)), patch_size=2),
    ),
    "apply_patch_projection": (
        PATCH,
        lambda p: F.apply_patch_projection(p, PACKED.patches),
    ),
    "apply_vision_embedding": (
        VISION,
        lambda p: F.apply_vision_embedding(
            p, jnp.zeros((4, 6, 1)), patch_size=2, **GRID
        ),
    ),
    "apply_packed_vision_embedding": (
        VISION,
        lambda p: F.apply_packed_vision_embedding(p, PACKED, **GRID),
    ),
    "apply_mixed_rope": (
        F.MixedRopeParams(jnp.zeros((2, 1, 2))),
        lambda p: F.apply_mixed_rope(p, jnp.zeros((3, 1, 4)), jnp.zeros((3, 2))),
    ),
}


@pytest.mark.errors
@pytest.mark.parametrize("name", FUNCTIONS)
def test_dicts_and_lists_are_told_what_they_must_be(name):
    params, function = FUNCTIONS[name]
    kind = type(params).__name__
    made = {
        rf"params is a dict, .*functional\.{kind}\(\*\*params\)": params._asdict(),
        rf"params is a list, .*functional\.{kind}\(\*params\)": [*params],
        rf"params is a tuple, .*functional\.{kind}\(\*params\)": (*params,),
    }
    for message, other in made.items():
        with refused(f"^{name}: {message}"):
            function(other)
    jax.eval_shape(function, type(params)(**params._asdict()))
    for other in (None, "params", 3.5, X):
        with refused(f"^{name}: params is an? .*, but must be an .*{kind}.$"):
            function(other)


@pytest.mark.errors
@pytest.mark.parametrize(
    ("name", "field"),
    (
        ("apply_text_embedding", "token"),
        ("apply_text_embedding", "positions"),
        ("apply_vision_embedding", "patch"),
        ("apply_packed_vision_embedding", "positions"),
    ),
)
def test_fields_that_are_dicts_are_named(name, field):
    params, function = FUNCTIONS[name]
    inner = getattr(params, field)
    other = params._replace(**{field: inner._asdict()})
    kind = type(inner).__name__
    with refused(rf"params\.{field} is a dict, .*functional\.{kind}\("):
        function(other)
