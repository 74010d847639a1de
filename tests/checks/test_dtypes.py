"""Arrays of the wrong dtype, and dtypes that would lose what they are given."""

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from helpers import refused
from small_arguments import (
    HEADS,
    IDS,
    IMAGE,
    KEY,
    LEARNED,
    PATCHES,
    RESAMPLING,
    ROPE,
    TABLE,
    TEXT,
    TOKENS,
    WEIGHT,
    X,
    of,
)

import attnax
import attnax.functional as F

token, learned = F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams


def vision(**changed):
    rows = host.ones((1, 4))
    params = F.VisionEmbeddingParams(
        F.PatchEmbeddingParams(np.ones((4, 4), np.float32), None),
        F.LearnedPositionalEmbeddingParams(np.ones((5, 4), np.float32)),
        rows,
        rows,
        rows[0],
    )._replace(**changed)
    return F.apply_vision_embedding(params, IMAGE, patch_size=2, table_grid=(2, 2))


def text(**changed):
    params = F.TextEmbeddingParams(TOKENS, LEARNED, TOKENS)._replace(**changed)
    return F.apply_text_embedding(params, IDS, token_type_ids=IDS)


def resized_at(table):
    return F.resize_positions_at(table, (2, 3), [1, 1], [[0, 0]], RESAMPLING)


# Tables and inputs by the name that an error gives them: a call, and a shape.
ARRAYS = (
    ("weight", lambda a: F.apply_token_embedding(token(a), IDS), (5, 4)),
    ("weight", lambda a: F.apply_token_unembedding(token(a), X), (5, 4)),
    ("x", lambda a: F.apply_token_unembedding(TOKENS, a), (3, 4)),
    (
        "weight",
        lambda a: F.apply_learned_positional_embedding(learned(a), X),
        (5, 4),
    ),
    ("x", lambda a: F.apply_learned_positional_embedding(LEARNED, a), (3, 4)),
    ("params.token.weight", lambda a: text(token=token(a)), (5, 4)),
    ("params.positions.weight", lambda a: text(positions=learned(a)), (5, 4)),
    ("params.token_types.weight", lambda a: text(token_types=token(a)), (5, 4)),
    ("x", F.apply_positional_encoding, (3, 4)),
    ("params.positions.weight", lambda a: vision(positions=learned(a)), (5, 4)),
    ("params.tokens_with_position", lambda a: vision(tokens_with_position=a), (1, 4)),
    (
        "params.tokens_without_position",
        lambda a: vision(tokens_without_position=a),
        (1, 4),
    ),
    ("params.mask_token", lambda a: vision(mask_token=a), (4,)),
    ("x", lambda a: F.insert_tokens(a, X), (3, 4)),
    ("tokens", lambda a: F.insert_tokens(X, a), (3, 4)),
    (
        "params.freqs",
        lambda a: F.apply_mixed_rope(F.MixedRopeParams(a), HEADS, np.zeros((3, 2))),
        (2, 2, 2),
    ),
    ("x", lambda a: F.rotate(ROPE, a, IDS), (3, 2, 4)),
    ("table", resized_at, (6, 2)),
)
# Products alone: what holds no NaN is a number all the same.
PRODUCTS = (
    ("weight", lambda a: vision(patch=F.PatchEmbeddingParams(a, None)), (4, 4)),
    ("bias", lambda a: vision(patch=F.PatchEmbeddingParams(X[:1] * X.T, a)), (4,)),
)
EIGHT = ("float8_e4m3fn", "float8_e5m2")
FEWER = ("float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn", "float8_e8m0fnu")


def made(shape, dtype):
    return host.ones(shape, np.dtype(getattr(ml_dtypes, dtype, dtype)))


@pytest.mark.errors
@pytest.mark.parametrize("name, call, shape", (*ARRAYS, *PRODUCTS[:1]))
def test_tables_and_inputs_are_real_floats(name, call, shape):
    for dtype in ("complex64", "int8", "int32", "bool"):
        with refused(rf"{name}.dtype={dtype} must be a real float dtype"):
            call(made(shape, dtype))


@pytest.mark.errors
@pytest.mark.parametrize("name, call, shape", ARRAYS)
def test_what_holds_no_nan_is_refused(name, call, shape):
    """Float4 has no NaN: rows out of range read as zeros."""
    for dtype in FEWER:
        # JAX 0.10.0 does not yet count float6 among the floats.
        known = jnp.issubdtype(getattr(ml_dtypes, dtype), jnp.floating)
        why = " that holds 0 and NaN" if known else ""
        with refused(rf"{name}.dtype={dtype} must be a real float dtype{why}"):
            jax.eval_shape(call, jax.ShapeDtypeStruct(shape, getattr(ml_dtypes, dtype)))
    for dtype in EIGHT:
        jax.eval_shape(call, jax.ShapeDtypeStruct(shape, getattr(ml_dtypes, dtype)))


def test_a_weight_that_only_multiplies_needs_no_nan():
    for _, call, shape in PRODUCTS[:1]:
        dtype = ml_dtypes.float4_e2m1fn
        assert jax.eval_shape(call, jax.ShapeDtypeStruct(shape, dtype)).shape == (6, 4)


# Every dtype that is asked for.
DTYPES = (
    *of(F.init_token_embedding, KEY, 5, 4)("dtype"),
    *of(F.init_learned_positional_embedding, KEY, 5, 4)("dtype"),
    *of(F.init_text_embedding, KEY, 5, 4, num_positions=5)("dtype"),
    *of(F.init_patch_embedding, KEY, **PATCHES)("dtype"),
    *of(F.init_vision_embedding, KEY, **PATCHES, table_grid=(2, 2))("dtype"),
    *of(F.init_mixed_rope, KEY, 2, 4)("dtype"),
    *of(F.apply_token_embedding, TOKENS, IDS)("dtype"),
    *of(F.apply_token_unembedding, TOKENS, X)("dtype", "compute_dtype"),
    *of(F.apply_token_unembedding, TOKENS, X)("accumulation_dtype"),
    *of(F.apply_text_embedding, TEXT, IDS)("dtype"),
    *of(
        F.apply_patch_embedding,
        F.PatchEmbeddingParams(np.ones((4, 4), np.float32), None),
        IMAGE,
        patch_size=2,
    )("dtype"),
    *of(
        F.apply_patch_projection,
        F.PatchEmbeddingParams(np.ones((4, 4), np.float32), None),
        WEIGHT,
    )("dtype"),
    *of(F.resize_positions_at, TABLE, (2, 3), [1, 1], [[0, 0]], RESAMPLING)("dtype"),
    *of(F.rope_inv_freq, 4)("dtype"),
    *of(F.rope_cos_sin_table, 4, 4)("dtype"),
    *of(F.rope_cos_sin_from_positions, IDS, 4)("out_dtype"),
    *of(attnax.RotaryEmbedding, 4, 8)("dtype"),
    *of(attnax.RotaryEmbedding(4, 8).cos_sin_for_positions, IDS)("out_dtype"),
)


@pytest.mark.errors
@pytest.mark.parametrize("name, call", DTYPES)
def test_dtypes_that_are_asked_for(name, call):
    for dtype in (jnp.complex64, jnp.int32, "no dtype"):
        with refused(rf"{name}=.* must be a real float dtype"):
            call(dtype)
    with refused(f"{name}=float4_e2m1fn must be a real float dtype that holds 0"):
        call(ml_dtypes.float4_e2m1fn)
    if not jax.config.jax_enable_x64:
        with pytest.raises(
            ValueError, match=f"{name}=float64 must come with jax_enable_x64"
        ):
            call(jnp.float64)
    with jax.enable_x64(True):
        results = jax.tree.leaves(jax.eval_shape(lambda: arrays_of(call(jnp.float64))))
        if name in ("dtype", "out_dtype"):  # the others are those of arithmetic
            assert all(result.dtype == jnp.float64 for result in results)


def arrays_of(result):
    return () if isinstance(result, attnax.RotaryEmbedding) else result


def test_a_table_of_float64_is_one_of_float32_outside_64_bit_mode():
    """As everything is that comes from NumPy."""
    expected = jnp.result_type(float)
    table = token(np.ones((5, 4)))
    assert F.apply_token_embedding(table, IDS).dtype == expected
    params = F.TextEmbeddingParams(table, None, None)
    assert F.apply_text_embedding(params, IDS).dtype == expected


@pytest.mark.errors
def test_words_of_stacked_ropes_keep_their_dtype():
    """What was restored as another dtype would rotate by other angles."""
    one = jax.tree.map(lambda t: t[0], F.stack_ropes([ROPE, ROPE]))
    for dtype in ("int32", "uint16", "float32"):
        wrong = one._replace(words=np.asarray(one.words).astype(dtype))
        for function in (F.rotary_cos_sin, lambda r, p: F.rotate(r, HEADS, p)):
            with refused(rf"rope.words.dtype={dtype} must be uint32, as stack_ropes"):
                function(wrong, IDS)
    wrong = one._replace(attention_factor=jnp.asarray(1.0, jnp.bfloat16))
    with refused("rope.attention_factor.dtype=bfloat16 must be float32"):
        F.rotary_cos_sin(wrong, IDS)
