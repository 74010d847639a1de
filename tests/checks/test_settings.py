"""Settings that are no numbers, and dtypes that would lose what they are given."""

import math

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from frequency_methods import FURTHER, METHODS, WIDTH
from helpers import refused

import attnax
import attnax.functional as F

KEY = jax.random.key(0)
IDS = np.array([0, 1, 2])
X = host.ones((3, 4))
HEADS = host.ones((3, 2, 4))
GRID = np.zeros((2, 2), np.int32)
PIXELS = np.zeros((2, 2), np.float32)
IMAGE = np.ones((4, 4, 1), np.float32)
WEIGHT = np.ones((8, 4), np.float32)
INV_FREQ = F.default_inv_freq(4)
ROPE = F.Rope(INV_FREQ)
TOKENS = F.TokenEmbeddingParams(np.ones((5, 4), np.float32))
LEARNED = F.LearnedPositionalEmbeddingParams(np.ones((5, 4), np.float32))
TEXT = F.TextEmbeddingParams(TOKENS, LEARNED, None)
RESAMPLING = F.Resampling("bilinear", antialias=False)
PATCHES = {"patch_size": 2, "num_channels": 1, "d_model": 4}
YARN = {"factor": 2.0, "original_max_len": 64}
TABLE = np.ones((6, 2), np.float32)


def of(function, *args, **fixed):
    """`(function.name, call)` for each setting of `names`, the others fixed."""

    def cases(*names):
        for name in names:
            others = {k: v for k, v in fixed.items() if k != name}
            call = lambda value, name=name, others=others: function(
                *args, **{name: value}, **others
            )
            yield pytest.param(name, call, id=f"{function.__name__}.{name}")

    return cases


# Sizes: integers, and not what NumPy or Python would make one of.
SIZES = (
    *of(F.init_token_embedding, KEY, vocab_size=5, d_model=4)("vocab_size", "d_model"),
    *of(F.init_learned_positional_embedding, KEY, num_positions=5, d_model=4)(
        "num_positions", "d_model"
    ),
    *of(F.init_mixed_rope, KEY, num_heads=2, head_dim=4)("num_heads", "head_dim"),
    *of(F.init_patch_embedding, KEY, **PATCHES)(*PATCHES),
    *of(F.init_text_embedding, KEY, 5, 4, num_positions=5)("num_positions"),
    *of(F.init_vision_embedding, KEY, **PATCHES, table_grid=(2, 2))(
        "num_tokens_with_position", "num_tokens_without_position"
    ),
    *of(F.rope_cos_sin_table, max_seq_len=4, head_dim=4)("max_seq_len", "head_dim"),
    *of(F.rope_cos_sin_from_positions, IDS, head_dim=4)("head_dim", "table_len"),
    *of(F.rope_cos_sin, GRID, INV_FREQ, axis_of_pair=(0, 1))("num_axes"),
    *of(F.default_inv_freq)("head_dim"),
    *of(F.rope_inv_freq)("head_dim"),
    *of(F.apply_positional_encoding, X)("max_len", "start"),
    *of(F.sinusoids, IDS, d_model=4)("d_model", "position_offset", "padding_position"),
    *of(F.grid_sinusoids, GRID, d_model=8)("d_model", "num_prefix_tokens"),
    *of(F.detr_sinusoids, np.ones((2, 2), bool))("d_model"),
    *of(F.positions_from_lengths, IDS)("total_len"),
    *of(F.positions_from_grid, (4, 4))("merge_size"),
    *of(F.padded_positions, IDS < 2, first_position=2, padding_position=1)(
        "first_position", "padding_position"
    ),
    *of(F.xpos_cos_sin, IDS, INV_FREQ)("center"),
    *of(F.query_temperature, IDS, beta=0.1, original_max_len=4)(
        "original_max_len", "offset"
    ),
    *of(F.normalized_cos_sin, PIXELS)("head_dim"),
    *of(F.chunked_axes, (1, 2))("num_axes"),
    *of(F.strided_axes, (1, 2))("rotary_pairs"),
    *of(F.axial_rope, (4, 4))("num_blocks"),
    *of(F.channel_permutation, ROPE, ROPE)("head_dim"),
    *of(F.permute_qk, WEIGHT, num_heads=1, to="half")(
        "num_heads", "rotary_dim", "axis", "rotary_start"
    ),
    *of(F.insert_tokens, X, X)("index"),
    *of(F.patchify, IMAGE)("patch_size"),
    *of(F.pad_image, IMAGE, patch_size=2)("patch_size", "padded_size"),
    *of(F.pack_patches, [IMAGE], patch_size=2, max_patches=4)(
        "patch_size", "max_patches"
    ),
    *of(F.image_size_for_max_patches, image_size=8, patch_size=2, max_patches=4)(
        "image_size", "patch_size", "max_patches"
    ),
    *of(F.resize_positions, TABLE, (2, 3), (2, 3), RESAMPLING)("num_prefix_tokens"),
    *of(F.apply_token_embedding, TOKENS, IDS)("padding_id"),
    *of(F.apply_text_embedding, TEXT, IDS, positions=IDS)("padding_position"),
    *of(attnax.PositionalEncoding, max_len=4, d_model=4)("max_len", "d_model"),
    *of(attnax.RotaryEmbedding, head_dim=4, max_positions=4)(
        "head_dim", "max_positions", "rotary_dim"
    ),
)
NO_SIZES = 2.0, 3.7, math.nan, math.inf, "4", True, np.array([4, 4]), 4 + 0j

# Numbers, finite ones: what is fixed, and no array.
NUMBERS = (
    *of(F.default_inv_freq, 4)("base"),
    *of(F.rope_cos_sin_table, 4, 4)("base"),
    *of(F.init_mixed_rope, KEY, 2, 4)("base"),
    *(
        case
        for method in (METHODS | FURTHER).values()
        for case in of(method.function, WIDTH, **method.settings)(
            *(name for name in method.settings if name != "factors")
        )
    ),
    *of(F.longrope_attention_factor, factor=2.0, original_max_len=64)(
        "factor", "original_max_len"
    ),
    *of(F.yarn_attention_factor, 2.0)("mscale", "mscale_all_dim"),
    *of(F.yarn_softmax_factor, 2.0)("mscale_all_dim"),
    *of(F.query_temperature, IDS, original_max_len=4)("beta"),
    *of(F.normalized_cos_sin, PIXELS, 4)("base"),
    *of(F.sinusoids, IDS, 4)("base", "frequency_shift", "position_scale", "scale"),
    *of(F.grid_sinusoids, GRID, 8)("base", "frequency_shift", "position_scale"),
    *of(F.detr_sinusoids, np.ones((2, 2), bool), 8)("base", "scale"),
    *of(F.apply_token_embedding, TOKENS, IDS)("scale"),
    *of(F.apply_text_embedding, TEXT, IDS)("scale"),
    *of(F.apply_token_unembedding, TOKENS, X)("soft_cap"),
    *of(F.rope_cos_sin, IDS, INV_FREQ)("attention_factor"),
    *of(F.Rope, INV_FREQ)("attention_factor"),
    *of(F.init_token_embedding, KEY, 5, 4)("init_std"),
    *of(F.init_learned_positional_embedding, KEY, 5, 4)("init_std"),
    *of(F.Resampling, "bilinear", False)("offset"),
    *of(attnax.RotaryEmbedding, 4, 8)("base"),
)
NO_NUMBERS = math.nan, "2", True, np.ones(3), 1 + 2j, [1.0] * 3, 10**400


@pytest.mark.errors
@pytest.mark.filterwarnings("ignore:A JAX array is being set as static")
@pytest.mark.parametrize("name, call", SIZES)
def test_sizes_are_integers(name, call):
    # Elsewhere a pair of numbers is a size of two axes.
    pairs = name in ("patch_size", "padded_size", "image_size")
    for value in NO_SIZES:
        if not (pairs and isinstance(value, np.ndarray)):
            with refused(rf"\w+: .*{name}=.* must "):
                call(value)


@pytest.mark.errors
@pytest.mark.parametrize("name, call", NUMBERS)
def test_numbers_are_finite_numbers(name, call):
    for value in NO_NUMBERS:
        with refused(rf"\w+: .*{name}=.* must "):
            call(value)


FLAGS = (
    *of(F.detr_sinusoids, np.ones((2, 2), bool), 8)("pixel_centers"),
    *of(F.grid_sinusoids, GRID, 8)("per_axis"),
    *of(F.apply_token_embedding, TOKENS, IDS, padding_id=1)("mask_padding"),
    *of(F.yarn_inv_freq, 4, **YARN)("truncate"),
    *of(F.axial_rope, (4, 4))("alternate", "shared"),
    *of(F.init_patch_embedding, KEY, **PATCHES)("use_bias"),
    *of(F.init_vision_embedding, KEY, **PATCHES, table_grid=(2, 2))(
        "use_bias", "positions", "mask_token"
    ),
    *of(F.channel_permutation, ROPE, ROPE, 4)("rotated"),
    *of(F.rotate, ROPE, HEADS, IDS)("inverse"),
    *of(F.apply_rotary, ROPE, HEADS, *F.rotary_cos_sin(ROPE, IDS))("inverse"),
    *of(F.Resampling, method="bilinear", antialias=False)("antialias", "align_corners"),
)


@pytest.mark.errors
@pytest.mark.parametrize("name, call", FLAGS)
def test_switches_are_true_or_false(name, call):
    for value in ("False", 0, 1.0, None):
        with refused(rf"\w+: {name}=.* must be True or False"):
            call(value)


@pytest.mark.errors
def test_numbers_in_lists_are_numbers():
    for bad in ("2", 2.0, True, None):
        for function, message in (
            (lambda v: F.chunked_axes((v, 2)), "sections="),
            (lambda v: F.strided_axes((1, v), 8), "sections="),
            (lambda v: F.alternating_axes((v, v, 1)), "sections="),
            (lambda v: F.axial_rope((v, 4)), "dims="),
            (lambda v: F.axial_rope((4, 4), axis_order=(v, 0)), "axis_order="),
            (lambda v: F.positions_from_grid((2, v)), "grid="),
            (lambda v: F.grid_sinusoids(GRID, 8, axis_order=(v, 0)), "axis_order="),
            (lambda v: F.grid_sinusoids(GRID, 12, axis_shares=(v, 1)), "axis_shares="),
            (
                lambda v: F.rope_cos_sin(GRID, INV_FREQ, axis_of_pair=(v, 0)),
                "axis_of_pair=",
            ),
        ):
            with refused(rf"\w+: {message}.* must "):
                function(bad)
    for bad in ("2", math.nan, math.inf):
        with refused(r"longrope_inv_freq: factors"):
            F.longrope_inv_freq(4, factors=[1.0, bad])
        with refused(r"normalized_cos_sin: .*periods=.* must be finite and positive"):
            F.normalized_cos_sin(PIXELS, 4, periods=(1.0, bad))
    with refused("longrope_inv_freq: factors.dtype=complex128 must be"):
        F.longrope_inv_freq(4, factors=np.array([1.0, 2.0 + 1j]))


def test_numbers_of_numpy_are_numbers():
    expected = F.default_inv_freq(4, 2.0)
    np.testing.assert_array_equal(F.default_inv_freq(4, np.float64(2)), expected)
    assert attnax.RotaryEmbedding(4, 8, base=np.float64(2)).base == 2.0
    capped = F.apply_token_unembedding(TOKENS, X, soft_cap=np.float64(2))
    np.testing.assert_array_equal(
        capped, F.apply_token_unembedding(TOKENS, X, soft_cap=2.0)
    )
    scaled = F.apply_token_embedding(TOKENS, IDS, scale=np.float64(2))
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(scaled, np.full((3, 4), 2.0))


@pytest.mark.errors
def test_sizes_of_numpy_are_sizes():
    for integer in (np.int64, np.uint8, np.asarray):
        token = F.init_token_embedding(
            KEY, integer(5), integer(4), padding_id=integer(1)
        )
        assert token.weight.shape == (5, 4)
        learned = F.init_learned_positional_embedding(KEY, integer(5), integer(4))
        assert learned.weight.shape == (5, 4)
        assert F.sinusoids(IDS, integer(4), position_offset=integer(1)).shape == (3, 4)
        grid = F.grid_sinusoids(GRID, integer(8), num_prefix_tokens=integer(1))
        assert grid.shape == (3, 8)
        bounded = F.apply_positional_encoding(X, max_len=integer(4))
        assert bounded.shape == X.shape


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


@pytest.mark.errors
def test_a_scale_is_finite_where_it_is_rounded():
    rounded = {"scale_dtype": jnp.float16}
    with pytest.raises(ValueError, match=r"scale=100000.0 must be a number that is f"):
        F.apply_token_embedding(TOKENS, IDS, scale=1e5, **rounded)


@pytest.mark.errors
@pytest.mark.parametrize("numerics", ("float32", "exact"))
def test_frequencies_are_real_and_finite(numerics):
    cos_sin = lambda inv_freq: F.rope_cos_sin(IDS, inv_freq, numerics=numerics)
    for dtype in ("complex64", "bool", "int32", "<U3"):
        with refused("rope_cos_sin: inv_freq.dtype=.* must be a real float dtype"):
            cos_sin(np.array([1, 0]).astype(dtype))
    for bad in (math.nan, math.inf, 1e300):
        with pytest.raises(
            ValueError, match=r"rope_cos_sin: inv_freq.* must be finite"
        ):
            cos_sin(np.array([1.0, bad]))
    with refused("rope_cos_sin: inv_freq.dtype=str[0-9]+ must be a real float"):
        cos_sin(["1.0", "2.0"])


def test_traced_frequencies_are_taken_as_they_are():
    cos_sin = jax.jit(lambda f: F.rope_cos_sin(IDS, f, numerics="float32")[0])
    rows = np.asarray(cos_sin(np.array([1.0, np.nan], np.float32)))
    np.testing.assert_array_equal(np.isnan(rows), [[False, True]] * 3)


def test_a_list_of_frequencies_is_a_vector_of_float64():
    for function in (F.rope_cos_sin, F.xpos_cos_sin):
        actual, expected = function(IDS, [1, 0.01]), function(IDS, INV_FREQ)
        jax.tree.map(np.testing.assert_array_equal, actual, expected)


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


token, learned = F.TokenEmbeddingParams, F.LearnedPositionalEmbeddingParams
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


@pytest.mark.errors
def test_options_that_were_taken_silently():
    """The ones that were reported, word for word."""
    with refused("apply_positional_encoding: max_len=nan must be a positive integer"):
        F.apply_positional_encoding(X, max_len=math.nan)
    with refused("rope_cos_sin_table: max_seq_len=3.7 must be a positive integer"):
        F.rope_cos_sin_table(3.7, 4)
    with refused("apply_token_embedding: scale='2' must be a number"):
        F.apply_token_embedding(TOKENS, IDS, scale="2")
    with refused(r"apply_token_embedding: scale=(.|\n)*; multiply the result by an"):
        F.apply_token_embedding(TOKENS, IDS, scale=np.ones((3, 1)))
    with refused("apply_token_embedding: params.weight.dtype=int8 must be a real f"):
        F.apply_token_embedding(token(np.ones((5, 4), np.int8)), IDS)
