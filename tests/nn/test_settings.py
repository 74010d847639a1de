"""Settings of modules: what tells two of them apart, and what is refused."""

import dataclasses
import inspect
import os

import equinox as eqx
import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, refused
from modules import INPUTS, KEY, TOKENS, learned, patch, rotary, sinusoidal, token

import attnax
import attnax.functional as F


def with_params(module, other):
    return eqx.tree_at(lambda m: m.params, module, other.params)


@pytest.mark.parametrize(
    "one, other",
    (
        (token(), token(scale=2.0)),
        (token(scale=1.7), token(scale=1.7, scale_dtype=jnp.bfloat16)),
        (token(), token(init_std=0.5)),
        (token(), with_params(token(padding_id=2, mask_padding=True), token())),
        (learned(), learned(init_std=0.5)),
        (rotary(), rotary(base=500.0)),
        (patch(), patch(key=jax.random.key(5))),
    ),
)
def test_modules_that_differ_in_one_setting_share_nothing(one, other):
    make = next(m for m in INPUTS if type(m()) is type(one))
    first = np.asarray(one(INPUTS[make]))
    assert not np.array_equal(first, other(INPUTS[make]))
    assert_same_bits(one(INPUTS[make]), first)


@pytest.mark.errors
@pytest.mark.skipif(
    os.environ.get("ATTNAX_TYPE_CHECKING", "1") != "0", reason="annotated as float"
)
def test_a_number_of_numpy_is_a_static_setting():
    text = attnax.nn.TextEmbedding(11, 8, num_positions=9, scale=np.array(2.0), key=KEY)
    for module in (text, token(scale=np.array(2.0)), rotary(base=np.array(500.0))):
        assert isinstance(hash(jax.tree.structure(module)), int)
    assert type(text.scale) is float


def test_bounds_are_settings_too():
    sinusoidal(3)(TOKENS)
    with pytest.raises(ValueError, match=r"\[0, 2\)"):
        sinusoidal(2)(TOKENS)
    rows = jax.jit(sinusoidal(4))(TOKENS, jnp.asarray(2))
    np.testing.assert_array_equal(np.isnan(rows).all((0, 2)), [False, False, True])


@pytest.mark.errors
def test_settings_are_checked_when_built():
    for build, message in (
        (
            lambda: attnax.TokenEmbedding(0, 8, key=KEY),
            "vocab_size=0 must be a positive integer",
        ),
        (
            lambda: attnax.TokenEmbedding(8, -1, key=KEY),
            "d_model=-1 must be a positive integer",
        ),
        (
            lambda: token(padding_id=11),
            r"padding_id=11 must be an integer in \[0, 10\]",
        ),
        (
            lambda: token(mask_padding=True),
            "mask_padding=True must come with a padding",
        ),
        (lambda: token(scale_dtype=jnp.float32), "must come with a scale"),
        (lambda: token(init_std=-1.0), "init_std=-1.0 must be a finite number of"),
        (
            lambda: learned(num_positions=0),
            "num_positions=0 must be a positive integer",
        ),
        (
            lambda: learned(init_std=-1.0),
            "init_std=-1.0 must be a finite number of",
        ),
        (
            lambda: attnax.PositionalEncoding(0, 8),
            "max_len=0 must be a positive integer",
        ),
        (
            lambda: attnax.PositionalEncoding(8, 0),
            "d_model=0 must be a positive integer",
        ),
        (
            lambda: patch(image_size=(4, 7)),
            r"image_size=\(4, 7\) must be a multiple of patch_size=\(2, 3\)",
        ),
        (lambda: patch(patch_size=0), "patch_size=0 must be a positive integer"),
        (lambda: patch(image_size=0), "image_size=0 must be a positive integer"),
        (lambda: patch(image_size=-8), "image_size=-8 must be a positive integer"),
        (
            lambda: token(scale=1.9, scale_dtype=jnp.int32),
            "scale_dtype=int32 must be a real float",
        ),
        (lambda: patch(num_channels=0), "num_channels=0 must be a positive integer"),
    ):
        with pytest.raises(ValueError, match=message):
            build()


@pytest.mark.errors
def test_calls_are_checked():
    with pytest.raises(ValueError, match=r"token_ids\[0\]=11 must lie in \[0, 11\)"):
        token()(np.array([11]))
    with pytest.raises(ValueError, match="seq_len=10 must be at most num_positions=9"):
        learned()(host.ones((10, 8)))
    with pytest.raises(ValueError, match=r"x.shape=\(2, 7\) must end in d_model=8"):
        sinusoidal()(host.ones((2, 7)))
    message = r"image.shape=\(6, 4, 3\) must end in \(4, 6, 3\); .*every divisible size"
    with pytest.raises(ValueError, match=message):
        patch()(host.ones((6, 4, 3)))


# Arguments that a module has under another name, or has no use for.
ELSEWHERE = {
    "rotate": {"rope"},
    "apply_vision_embedding": {"table_grid"},  # of image_size
    "apply_packed_vision_embedding": {"table_grid"},
}


@pytest.mark.parametrize(
    ("call", "function"),
    (
        (attnax.nn.TokenEmbedding.__call__, F.apply_token_embedding),
        (attnax.nn.TokenEmbedding.unembed, F.apply_token_unembedding),
        (attnax.nn.FusedEmbedding.__call__, F.apply_fused_embedding),
        (attnax.nn.PerLayerEmbedding.__call__, F.apply_per_layer_embedding),
        (attnax.nn.TextEmbedding.__call__, F.apply_text_embedding),
        (
            attnax.nn.LearnedPositionalEmbedding.__call__,
            F.apply_learned_positional_embedding,
        ),
        (attnax.nn.PositionalEncoding.__call__, F.apply_positional_encoding),
        (attnax.nn.RotaryEmbedding.__call__, F.rotate),
        (attnax.nn.PatchEmbedding.__call__, F.apply_patch_embedding),
        (attnax.nn.VisionEmbedding.__call__, F.apply_vision_embedding),
        (attnax.nn.VisionEmbedding.packed, F.apply_packed_vision_embedding),
    ),
)
def test_modules_take_what_their_functions_take(call, function):
    names = lambda thing: set(inspect.signature(thing).parameters)
    module = getattr(attnax.nn, call.__qualname__.partition(".")[0])
    given = names(module) | names(call) | {"params"}
    assert names(function) - given <= ELSEWHERE.get(function.__name__, set())


def test_numbers_of_numpy_are_settings():
    size, key = np.int64, jax.random.key(0)
    modules = (
        attnax.TokenEmbedding(size(5), size(4), padding_id=size(1), key=key),
        attnax.PositionalEncoding(size(8), size(4)),
        attnax.RotaryEmbedding(size(4), size(8), base=size(100), head_axis=size(-3)),
        attnax.LearnedPositionalEmbedding(
            num_positions=size(8), d_model=size(4), init_std=np.float32(0.5), key=key
        ),
        attnax.nn.TextEmbedding(
            size(5), size(4), num_positions=size(8), scale=np.float32(2), key=key
        ),
    )
    for module in modules:
        assert hash(jax.tree.structure(module)) is not None
        settings = [getattr(module, f.name) for f in dataclasses.fields(module)]
        assert not any(isinstance(value, np.generic) for value in settings)


@pytest.mark.errors
def test_sizes_of_modules_are_integers():
    for build, message in (
        (lambda: attnax.RotaryEmbedding(8, 16.5), "max_positions=16.5 must be a posit"),
        (lambda: attnax.PositionalEncoding(16.5, 4), "max_len=16.5 must be a positive"),
        (lambda: attnax.PositionalEncoding(16, 4.0), "d_model=4.0 must be a positive"),
        (
            lambda: attnax.TokenEmbedding(True, 8, key=jax.random.key(0)),
            "vocab_size=True must be a positive integer",
        ),
    ):
        with refused(rf"^\w+: {message}"):
            build()
