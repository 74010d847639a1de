"""`rope_from_hf` from config to rotation: layouts, defaults and errors."""

import dataclasses
import json

import helpers
import jax
import numpy as np
import pytest
from frequency_methods import LLAMA
from rope_configs import (
    GEMMA3_4B,
    LLAMA3,
    LONGROPE,
    NOT_FROM_DEFAULTS,
    YARN,
    refused,
    ropes_of_defaults,
    scaled,
)

import attnax
import attnax.functional as F
from attnax.interop import rope_from_hf, ropes_from_hf
from attnax.interop._config import vocabulary
from attnax.interop._config.families import table as families

SIX = {"num_hidden_layers": 6}  # enough for every kind of layer


# What the table does not know.


def test_a_model_type_that_is_not_in_the_table_needs_a_layout():
    config = {"model_type": "mine", "head_dim": 64, "rope_theta": 1e4}
    refused(config, "model_type='mine' is not in the table.*pass layout='half'")
    for layout in ("half", "interleaved"):
        expected = F.Rope(F.default_inv_freq(64), layout)
        assert rope_from_hf(config, layout=layout) == expected
    nested = {
        "a": {"rope_theta": 100.0},
        "b": {"rope_theta": 200.0, "partial_rotary_factor": 0.5},
    }
    both = {"model_type": "mine", "head_dim": 64, "rope_parameters": nested}
    rope = rope_from_hf(both, layer_type="b", layout="half")
    assert rope == F.Rope(F.default_inv_freq(32, 200.0))


@pytest.mark.slow  # a walk over all families
def test_layout_overrides_the_table():
    for config in (
        LLAMA,
        {"model_type": "deepseek_v3"},
        {"model_type": "gemma4_vision"},
    ):
        own = rope_from_hf(config)
        other = rope_from_hf(config, layout="interleaved")
        expected = dataclasses.replace(own, layout="interleaved", num_blocks=1)
        assert other == expected != own
    for name in families.IN_TRANSFORMERS:
        if name not in NOT_FROM_DEFAULTS:
            ropes = ropes_of_defaults(name) - {None}
            # The lists of Zamba 2 are of all its layers.
            config = {"model_type": name} | (SIX if name != "zamba2" else {})
            for layout in {rope.layout for rope in ropes}:
                same = ropes_from_hf(config, seq_len=9, layout=layout)
                assert {r for r in ropes if r.layout == layout} <= set(same)


@pytest.mark.errors
@pytest.mark.parametrize(
    "config, message",
    (
        ({"head_dim": 64}, "must hold 'rope_theta'"),
        ({"rope_theta": 1e4}, "must hold 'hidden_size'"),
        ({"rope_theta": 1e4, "hidden_size": 8}, "must hold 'num_attention_heads'"),
    ),
)
def test_unknown_defaults_are_errors(config, message):
    refused({"model_type": "mine", **config}, message, layout="half")


# Strictness.


@pytest.mark.errors
@pytest.mark.parametrize(
    "config, message",
    (
        (
            LLAMA | {"rope_scaling": {"type": "linear", "rope_type": "yarn"}},
            "rope_type='yarn' and type='linear', which contradict",
        ),
        (scaled("su", factor=2.0), "unknown rope_type='su'; write 'longrope'"),
        (
            scaled("ntk", factor=2.0),
            "unknown rope_type='ntk'; .* a Rope of ntk_inv_freq",
        ),
        (scaled("huge"), "unknown rope_type='huge'; known are default, linear"),
        (scaled("linear"), "rope_scaling must hold 'factor'"),
        (
            scaled("linear", factor=0.5),
            "rope_scaling: .*factor=0.5 must be .* at lea",
        ),
        (
            scaled("yarn", factor=0.5),
            "rope_scaling: .*factor=0.5 must be .* at lea",
        ),
        (scaled("linear", factor="two"), "factor='two', which must be a finite number"),
        (scaled("yarn", **YARN, mscale=float("nan")), "mscale=nan, .* finite number"),
        (LLAMA | {"hidden_size": 64.5}, "hidden_size=64.5 must be a positive whole"),
        (scaled("linear", factor=2.0, beta_fast=3), "holds beta_fast=3, .* not read"),
        (scaled("default", factor=2.0), "holds factor=2.0, .* not read"),
        (scaled("default", mrope_section=[1]), r"holds mrope_section=\[1\]"),
        (scaled("dynamic", factor=2.0, alpha=8.0), "pass seq_len"),
        (scaled("dynamic", factor=2.0), "depend on the length: pass seq_len"),
        (scaled("longrope", **LONGROPE), "depend on the length: pass seq_len"),
        (
            scaled("longrope", **(LONGROPE | {"short_factor": [1.0]})),
            r"\['short_factor'\] holds 1 numbers, .* 32 pairs",
        ),
        (scaled("llama3", **(LLAMA3 | {"low_freq_factor": 5.0})), "high_freq_factor="),
        (LLAMA | {"partial_rotary_factor": 0.5}, "partial_rotary_factor=0.5, .* not r"),
        (LLAMA | {"rope_interleave": True}, "rope_interleave=True, .* not read"),
        (LLAMA | {"no_rope_layers": [1]}, r"no_rope_layers=\[1\], .* not read"),
        (
            LLAMA | {"rotary_base": 1e4},
            "rotary_base=10000.0, which .* Hugging Face calls it rope_theta",
        ),
        (LLAMA | {"head_dim": 7}, "head_dim=7 .* 7 rotating channels"),
        (LLAMA | {"head_dim": 0}, "head_dim=0 must be a positive whole number"),
        (
            LLAMA | {"rope_theta": -1.0},
            "the config holds rope_theta=-1.0, which must be pos",
        ),
        (
            LLAMA | {"rope_parameters": {"full_attention": {"rope_theta": 1.0}}},
            r"nested by \['full_attention'\], but 'llama' reads one set",
        ),
        (
            {"model_type": "gemma3_text", "rope_parameters": {"rope_theta": 1}},
            "one dict",
        ),
        (
            {"model_type": "glm", "partial_rotary_factor": 0.3, "head_dim": 30},
            "partial_rotary_factor=0.3 make 9 rotating channels",
        ),
        (
            {"model_type": "qwen2_vl_text", "head_dim": 128}
            | {"rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 23]}},
            r"mrope_section=\[16, 24, 23\] must sum to the 64 pairs",
        ),
        (
            {"model_type": "qwen3_vl_text"}
            | {"rope_parameters": {"mrope_interleaved": False, "rope_theta": 1e4}},
            "mrope_interleaved=False, .* axes interleaved",
        ),
        (
            {"model_type": "cohere2", "num_hidden_layers": 3, "layer_types": ["conv"]},
            "num_hidden_layers=3 must equal the 1 entries",
        ),
        ({"model_type": "dinov3_vit"}, "use normalized_coordinates"),
        ({"model_type": "hunyuan_vl_text"}, "no rotation"),
        (
            {"model_type": "recurrent_gemma"} | {"rope_scaling": {"type": "linear"}},
            "'linear'",
        ),
    ),
)
def test_what_cannot_be_had_is_said(config, message):
    refused(config, message)


@pytest.mark.errors
def test_a_config_is_a_dict():
    with helpers.refused("config is a str, but must be a dict"):
        rope_from_hf("llama")


def test_the_config_is_not_changed():
    before = json.dumps(GEMMA3_4B)
    ropes_from_hf(GEMMA3_4B)
    assert json.dumps(GEMMA3_4B) == before


def test_a_null_head_dim_is_the_share_of_the_hidden_size():
    config = {"model_type": "ernie4_5", "hidden_size": 256, "num_attention_heads": 4}
    assert rope_from_hf(config | {"head_dim": None}).rotary_pairs == 32
    assert rope_from_hf(config).rotary_pairs == 64


JSON = ("x", [1], {"a": 1}, {"a": {"b": 1}}, 0, 1.5, [], [None])


SOME = ({"a": {"b": 1}},)


@pytest.mark.errors
@pytest.mark.parametrize(
    "value, layers",
    (
        *((value, SIX) for value in SOME),
        # As many as the models have, up to 48.
        *(pytest.param(value, {}, marks=pytest.mark.slow) for value in JSON),
    ),
    ids=repr,
)
def test_no_value_is_tripped_over(value, layers):
    """Whatever a key holds, the function says what is wrong or has a use for it."""
    names = ("llama", "gemma3_text", "step3p5", "deepseek_v4", "mimo_v2_flash")
    names += ("dots3_note_text", "cohere2_moe", "recurrent_gemma", "ultrabert")
    for name in names:
        for key in sorted(vocabulary.ROTARY | vocabulary.STRUCTURE):
            config = {"model_type": name, **layers, key: value}
            for function in (rope_from_hf, ropes_from_hf):
                try:
                    function(config, seq_len=9)
                except ValueError as error:
                    assert str(error).startswith(function.__name__), config


def test_rotating_by_a_config_from_end_to_end():
    rope = rope_from_hf(LLAMA)
    x = jax.random.normal(jax.random.key(0), (2, 5, 4, 64))
    cos, sin = F.rope_cos_sin_table(5, 64)
    expected = attnax.apply_rope(x, cos[:, None], sin[:, None])
    np.testing.assert_array_equal(F.rotate(rope, x, np.arange(5)), expected)
