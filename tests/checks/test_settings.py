"""Settings of functions: sizes, numbers and switches, and what is none of these."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from frequency_methods import FURTHER, METHODS, WIDTH
from helpers import refused
from small_arguments import (
    HEADS,
    IDS,
    IMAGE,
    INV_FREQ,
    KEY,
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

GRID = np.zeros((2, 2), np.int32)
PIXELS = np.zeros((2, 2), np.float32)
YARN = {"factor": 2.0, "original_max_len": 64}


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
        F.apply_token_embedding(F.TokenEmbeddingParams(np.ones((5, 4), np.int8)), IDS)
