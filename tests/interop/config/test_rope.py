"""Configs of version 4 and 5, of parts and of layers, and what must not go unread."""

import dataclasses
import functools
import json

import helpers
import jax
import numpy as np
import pytest
from frequency_methods import BASE, LLAMA, LONG, METHODS, SHORT, WIDTH

import attnax
import attnax.functional as F
from attnax.interop import rope_from_hf, ropes_from_hf
from attnax.interop._config import methods, part, vocabulary
from attnax.interop._config.families import table as families

SIX = {"num_hidden_layers": 6}  # enough for every kind of layer
YARN, LLAMA3 = METHODS["yarn"].parameters, METHODS["llama3"].parameters
LONGROPE = {k: v for k, v in METHODS["longrope"].parameters.items() if k != "factor"}
YARN_CALL = dict(factor=4.0, original_max_len=4096)


def scaled(kind, **values):
    return LLAMA | {"rope_theta": 5e5, "rope_scaling": {"rope_type": kind, **values}}


def refused(config, message, **kwargs):
    with pytest.raises(ValueError, match=message):
        rope_from_hf(config, **kwargs)


@pytest.mark.parametrize("kind", METHODS)
def test_every_method_in_every_spelling(kind):
    method = METHODS[kind]
    inv_freq = method.function(WIDTH, BASE, **method.settings)
    expected = F.Rope(inv_freq, attention_factor=method.attention_factor)
    base, values = {"rope_theta": BASE}, method.parameters
    old = method.model | base | {"rope_scaling": {"type": kind, **values}}
    for config in (
        method.model | {"rope_parameters": {"rope_type": kind, **base, **values}},
        method.model | base | {"rope_scaling": {"rope_type": kind, **values}},
        old,
        json.loads(json.dumps(old)),
    ):
        assert rope_from_hf(config, seq_len=9000) == expected


def test_every_type_of_the_table_is_compared():
    assert METHODS.keys() == methods.METHODS.keys()


@pytest.mark.parametrize(
    "config", (scaled("default"), LLAMA, scaled("linear", factor=2))
)
def test_a_length_is_accepted_where_it_is_not_needed(config):
    assert rope_from_hf(config, seq_len=5) == rope_from_hf(config)


def test_longrope_switches_past_the_original_length():
    config = scaled("longrope", **LONGROPE, factor=32.0)
    short, at, past = (rope_from_hf(config, seq_len=n) for n in (1, 4096, 4097))
    assert short == at != past
    assert at.inv_freq == F.Rope(F.longrope_inv_freq(64, 5e5, factors=SHORT)).inv_freq


def test_implicit_factors_are_the_ratio_of_the_lengths():
    config = scaled("longrope", **LONGROPE) | {"max_position_embeddings": 131_072}
    explicit = scaled("longrope", **LONGROPE, factor=32.0)
    assert rope_from_hf(config, seq_len=1) == rope_from_hf(explicit, seq_len=1)
    missing = {k: v for k, v in YARN.items() if k != "factor"}
    served = scaled("yarn", **missing) | {"max_position_embeddings": 16_384}
    assert rope_from_hf(served) == rope_from_hf(scaled("yarn", **YARN))


def test_the_original_length_defaults_to_the_served_one():
    config = scaled("yarn", factor=4.0) | {"max_position_embeddings": 4096}
    assert rope_from_hf(config) == rope_from_hf(scaled("yarn", **YARN))


def test_an_original_length_beside_the_parameters_overrides_the_one_inside():
    config = scaled("yarn", **(YARN | {"original_max_position_embeddings": 99}))
    beside = config | {"original_max_position_embeddings": 4096}
    assert rope_from_hf(beside) == rope_from_hf(scaled("yarn", **YARN))


@pytest.mark.parametrize(
    "values, factor",
    (
        ({"attention_factor": 1.5, "mscale": 1.0, "mscale_all_dim": 0.5}, 1.5),
        ({"mscale": 1.0, "mscale_all_dim": 0.8}, None),
        ({"mscale": 0.7}, F.yarn_attention_factor(4.0)),
    ),
)
def test_attention_factors_of_yarn(values, factor):
    if factor is None:
        factor = F.yarn_attention_factor(4.0, mscale=1.0, mscale_all_dim=0.8)
    assert rope_from_hf(scaled("yarn", **YARN, **values)).attention_factor == factor


def test_settings_of_yarn_are_read():
    values = {"beta_fast": 16.0, "beta_slow": 2.0, "truncate": False}
    expected = F.yarn_inv_freq(
        64, 5e5, **YARN_CALL, beta_fast=16.0, beta_slow=2.0, truncate=False
    )
    assert rope_from_hf(scaled("yarn", **YARN, **values)).inv_freq == tuple(expected)


@pytest.mark.parametrize(
    "config, expected",
    (
        # Older names, as released config.json files have them.
        (
            {
                "model_type": "gpt_neox",
                "hidden_size": 2048,
                "num_attention_heads": 8,
                "rotary_pct": 0.25,
                "rotary_emb_base": 10_000,
            },
            F.Rope(F.default_inv_freq(64)),
        ),
        (
            {"model_type": "gptj", "n_embd": 4096, "n_head": 16, "rotary_dim": 64},
            F.Rope(F.default_inv_freq(64), "interleaved"),
        ),
        (
            {"model_type": "minimax_m2", "rotary_dim": 64, "rope_theta": 5e6},
            F.Rope(F.default_inv_freq(64, 5e6)),
        ),
        (
            {"model_type": "stablelm", "rope_pct": None, "partial_rotary_factor": 0.5},
            F.Rope(F.default_inv_freq(40)),
        ),
        (
            {"model_type": "phi3", "rope_scaling": None, "rope_theta": 10_000.0},
            F.Rope(F.default_inv_freq(96)),
        ),
        ({"model_type": "nanochat"}, F.Rope(-F.default_inv_freq(128))),
        (
            {"model_type": "deepseek_v3", "rope_theta": 10_000},
            F.Rope(
                F.default_inv_freq(64), "interleaved_to_half", rotary_start="trailing"
            ),
        ),
        (
            {"model_type": "deepseek_v3", "rope_interleave": False},
            F.Rope(F.default_inv_freq(64), rotary_start="trailing"),
        ),
        (
            {"model_type": "qwen2_vl_vision", "embed_dim": 1280, "num_heads": 16},
            F.axial_rope((40, 40)),
        ),
        ({"model_type": "pixtral"}, F.axial_rope((32, 32), shared=True)),
        (
            {"model_type": "gemma4_vision"},
            F.axial_rope((32, 32), 100.0, axis_order=(1, 0), num_blocks=2),
        ),
        (
            {"model_type": "qwen2_vl_text", "rope_scaling": {"type": "mrope"}}
            | {"head_dim": 128},
            F.Rope(
                F.default_inv_freq(128, 1e6), axis_of_pair=F.chunked_axes((16, 24, 24))
            ),
        ),
        (
            {"model_type": "qwen3_vl_text"},
            F.Rope(
                F.default_inv_freq(128, 5e5),
                axis_of_pair=F.strided_axes((24, 20, 20), 64),
            ),
        ),
        (
            {"model_type": "ernie4_5_vl_moe_text"},
            F.Rope(
                F.default_inv_freq(128, 5e5),
                "interleaved",
                axis_of_pair=F.alternating_axes((22, 22, 20)),
            ),
        ),
        (
            # The defaults of the code hold parameters: YaRN without truncation.
            {"model_type": "gpt_oss"},
            F.Rope(
                F.yarn_inv_freq(
                    64, 150_000.0, factor=32.0, original_max_len=4096, truncate=False
                ),
                attention_factor=F.yarn_attention_factor(32.0),
            ),
        ),
    ),
    ids=lambda value: value.get("model_type") if isinstance(value, dict) else "",
)
def test_names_and_defaults_of_single_families(config, expected):
    assert rope_from_hf(config) == expected


@pytest.mark.parametrize("name", ("su", "yarn", "longrope"))
def test_the_phi_3_family_has_names_of_its_own(name):
    lists = {"short_factor": [1.0] * 48, "long_factor": [2.0] * 48}
    config = {
        "model_type": "phi3",
        "max_position_embeddings": 131_072,
        "original_max_position_embeddings": 4096,
        "rope_scaling": {"type": name, **lists},
    }
    rope = rope_from_hf(config, seq_len=5000)
    assert rope.inv_freq == tuple(F.default_inv_freq(96) / 2)
    assert rope.attention_factor == F.longrope_attention_factor(32.0, 4096)


def test_alpha_of_hunyuan_depends_on_no_length():
    values = {"type": "dynamic", "alpha": 1000.0, "factor": 1.0, "mscale": 1.0}
    config = {"model_type": "hunyuan_v1_dense", "head_dim": 128, "rope_scaling": values}
    assert rope_from_hf(config) == F.Rope(F.ntk_inv_freq(128, factor=1000.0))


def test_phimoe_takes_factors_and_scale_by_length_as_it_was_released():
    values = LONGROPE | {"short_mscale": 1.2, "long_mscale": 1.3, "type": "longrope"}
    config = LLAMA | {"model_type": "phimoe", "rope_scaling": values}
    for seq_len, factor, factors in ((4096, 1.2, SHORT), (4097, 1.3, LONG)):
        rope = rope_from_hf(config, seq_len=seq_len)
        inv_freq = 1e6 ** (-np.arange(32) / 32) / np.array(factors)
        np.testing.assert_allclose(rope.inv_freq, inv_freq, rtol=1e-14)
        assert rope.attention_factor == factor
    refused(config, "depend on the length: pass seq_len")


# Parameters by layer type.

GEMMA3_4B = {  # As released: nearly everything is left to the defaults.
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152},
}


def test_gemma_3_scales_its_global_layers_only():
    local = F.Rope(F.default_inv_freq(256, 10_000.0))
    all_ = F.Rope(F.linear_inv_freq(256, 1e6, factor=8.0))
    assert rope_from_hf(GEMMA3_4B, layer_type="sliding_attention") == local
    assert rope_from_hf(GEMMA3_4B, layer_type="full_attention") == all_
    ropes = ropes_from_hf(GEMMA3_4B)
    assert ropes == [all_ if (i + 1) % 6 == 0 else local for i in range(34)]
    assert len({id(rope) for rope in ropes}) == 2


def test_old_and_new_spelling_of_two_bases():
    nested = {
        "sliding_attention": {"rope_theta": 7e3, "rope_type": "default"},
        "full_attention": {"rope_theta": 3e5, "rope_type": "linear", "factor": 2.0},
    }
    new = {"model_type": "gemma3_text", "rope_parameters": nested}
    old = {
        "model_type": "gemma3_text",
        "rope_theta": 3e5,
        "rope_local_base_freq": 7e3,
        "rope_scaling": {"rope_type": "linear", "factor": 2.0},
    }
    assert ropes_from_hf(new) == ropes_from_hf(old)
    modern = {"global_rope_theta": 3e5, "local_rope_theta": 7e3}
    config = {"model_type": "modernbert", **modern, "num_hidden_layers": 4}
    full, sliding = (
        F.Rope(F.default_inv_freq(64, base)) for base in (300_000.0, 7_000.0)
    )
    assert ropes_from_hf(config) == [full, sliding, sliding, full]


def test_layers_of_gemma_4_have_heads_of_two_widths():
    config = {"model_type": "gemma4_text", "num_hidden_layers": 6}
    ropes = ropes_from_hf(config)
    assert [rope.rotary_dim for rope in ropes] == [256] * 5 + [512]
    assert ropes[-1].inv_freq == tuple(F.proportional_inv_freq(512, 1e6, fraction=0.25))
    given = config | {"per_layer_config": {"05": {"head_dim": 320}}}
    rope = rope_from_hf(given, layer_type="full_attention")
    assert rope.rotary_dim == 320
    assert rope_from_hf(given, layer_type="sliding_attention").rotary_dim == 256


def test_deepseek_v4_has_two_sets_under_names_of_their_own():
    yarn = {"type": "yarn", "factor": 16.0, "original_max_position_embeddings": 65_536}
    config = {"model_type": "deepseek_v4", "rope_scaling": yarn}
    main = rope_from_hf(config, layer_type="main")
    compress = rope_from_hf(config, layer_type="compress")
    assert main.inv_freq == tuple(F.default_inv_freq(64, 10_000.0))
    assert compress.inv_freq == tuple(
        F.yarn_inv_freq(64, 160_000.0, factor=16.0, original_max_len=65_536)
    )
    assert compress.attention_factor == 1.0
    name = "heavily_compressed_attention"
    assert rope_from_hf(config, layer_type=name) == compress


@pytest.mark.parametrize(
    "config, rotates",
    (
        ({"model_type": "cohere2"}, "1110"),
        ({"model_type": "cohere2", "sliding_window_pattern": 2}, "1010"),
        ({"model_type": "exaone4", "sliding_window": 4096}, "1110"),
        ({"model_type": "exaone4", "layer_types": ["full_attention"] * 4}, "0000"),
        ({"model_type": "afmoe"}, "1110"),
        ({"model_type": "llama4_text"}, "1110"),
        ({"model_type": "llama4_text", "no_rope_layers": [0, 1, 1, 0]}, "0110"),
        ({"model_type": "smollm3", "no_rope_layer_interval": 2}, "1010"),
        ({"model_type": "qwen3_next"}, "0001"),
        ({"model_type": "lfm2", "full_attn_idxs": [1, 2]}, "0110"),
        ({"model_type": "bamba", "attn_layer_indices": [3]}, "0001"),
        ({"model_type": "recurrent_gemma"}, "0010"),
        ({"model_type": "beam"}, "1110"),
        ({"model_type": "falcon"}, "1111"),
        ({"model_type": "falcon", "alibi": True}, "0000"),
        ({"model_type": "esm"}, "0000"),
        ({"model_type": "esm", "position_embedding_type": "rotary"}, "1111"),
        ({"model_type": "muse_spark_text"}, "1110"),
        ({"model_type": "llama"}, "1111"),
    ),
    ids=lambda value: value if isinstance(value, str) else value["model_type"],
)
def test_which_layers_rotate(config, rotates):
    ropes = ropes_from_hf(config | {"num_hidden_layers": 4})
    assert "".join("01"[rope is not None] for rope in ropes) == rotates


def test_layers_with_a_base_of_their_own():
    config = {
        "model_type": "granite_swa",
        "num_hidden_layers": 3,
        "layer_rope_theta": [10_000, 0, 500_000],
    }
    first, none, last = ropes_from_hf(config)
    assert none is None
    assert first == F.Rope(F.default_inv_freq(128, 10_000.0))
    assert last == F.Rope(F.default_inv_freq(128, 500_000.0))
    refused(config, "different rotary embeddings; use ropes_from_hf")


def test_layers_that_keep_the_plain_frequencies():
    values = {"rope_type": "yarn", "rope_theta": 1e6, **YARN}
    config = {
        "model_type": "molmo2_text",
        "num_hidden_layers": 3,
        "rope_parameters": values,
        "rope_scaling_layers": [1],
    }
    plain, yarn, same = ropes_from_hf(config)
    assert plain is same
    assert plain.attention_factor == 1.0 < yarn.attention_factor


def test_layer_types_with_the_same_parameters_leave_no_choice():
    base = {"rope_theta": 5e5}
    same = dict.fromkeys(("full_attention", "sliding_attention"), base)
    config = {"model_type": "gemma3_text", "head_dim": 64, "rope_parameters": same}
    assert rope_from_hf(config) == F.Rope(F.default_inv_freq(64, 5e5))
    other = same | {"full_attention": {"rope_theta": 6e5}}
    for changed in (other, same | {"full_attention": None}):
        refused(config | {"rope_parameters": changed}, "by layer type; pass layer_type")
    # The heads of its full layers are wider.
    config["model_type"] = "gemma4_text"
    refused(config, "layers of .*'gemma4_text' have different .*; use ropes_from_hf")
    refused({"model_type": "ultrabert", "rope_theta": []}, "parameters of no layer")


def test_a_layer_type_without_rope_gives_none():
    config = {"model_type": "cohere2"}
    assert rope_from_hf(config, layer_type="full_attention") is None
    plain = rope_from_hf(config)
    assert rope_from_hf(config, layer_type="sliding_attention") == plain
    assert rope_from_hf({"model_type": "beam"}, layer_type="full_attention") is None


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


@functools.cache
def ropes_of_defaults(name):
    """What the layers of a family have, each once."""
    return set(ropes_from_hf({"model_type": name}, seq_len=9))


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
        (scaled("ntk", factor=2.0), "unknown rope_type='ntk'; .* see ntk_inv_freq"),
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
            "mrope_interleaved=False, .* axes in turn",
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


@pytest.mark.errors
def test_layer_types_and_lengths_are_checked():
    refused(
        {"model_type": "gemma3_text"}, r"pass layer_type, one of \['full_attention'"
    )
    refused(GEMMA3_4B, r"layer_type='x' must be one of \['full_att", layer_type="x")
    refused(LLAMA, r"layer_type='x' must be one of \['full_att", layer_type="x")
    config = {"model_type": "smollm3", "num_hidden_layers": 4}
    refused(config, "some layers of .* ropes_from_hf", layer_type="full_attention")
    for seq_len in (0, -1, 1.5, "9"):
        with helpers.refused(f"{seq_len=} must be a positive int"):
            rope_from_hf(LLAMA, seq_len=seq_len)
    with helpers.refused(r"layer_type=\['x'\] must be a name"):
        rope_from_hf(LLAMA, layer_type=["x"])
    with pytest.raises(ValueError, match="ropes_from_hf: num_hidden_layers is missing"):
        ropes_from_hf(
            {"model_type": "x", "head_dim": 8, "rope_theta": 1.5}, layout="half"
        )


def test_keys_of_other_parts_are_left_alone():
    """They say nothing about the rotation, and are listed with what they are about."""
    values = {"llama_4_scaling_beta": 0.1, "max_position_embeddings": 99}
    config = scaled("yarn", **YARN, **values)
    assert rope_from_hf(config) == rope_from_hf(scaled("yarn", **YARN))
    assert rope_from_hf(LLAMA | {"partial_rotary_factor": 1.0}) == rope_from_hf(LLAMA)
    assert rope_from_hf(LLAMA | {"rotary_base": None, "vocab_size": 7}) is not None


def test_the_config_is_not_changed():
    before = json.dumps(GEMMA3_4B)
    ropes_from_hf(GEMMA3_4B)
    assert json.dumps(GEMMA3_4B) == before


# Keys that contradict one another, or say what is so anyway.

QWEN3 = {"model_type": "qwen3", "head_dim": 64}
DEEPSEEK = {"model_type": "deepseek_v3"}
FULL, SLIDING = {"rope_theta": 5e5}, {"rope_theta": 1e4}
NESTED = {"full_attention": FULL, "sliding_attention": SLIDING}
GEMMA3 = {"model_type": "gemma3_text"}
LLAVA = {"model_type": "llava", "text_config": LLAMA | {"rope_theta": 5e5}}


@pytest.mark.errors
@pytest.mark.parametrize(
    "config, message",
    (
        (
            LLAMA | {"rope_theta": 1e6, "rope_parameters": FULL},
            "rope_theta=1000000.0, but rope_parameters, which .* rope_theta=500000.0",
        ),
        (
            {"model_type": "glm", "partial_rotary_factor": 0.25}
            | {"rope_parameters": {"partial_rotary_factor": 0.5}},
            "partial_rotary_factor=0.25, but rope_parameters",
        ),
        (
            {"model_type": "ministral3", "rope_theta": 7.0},
            "but the code of 'ministral3'",
        ),
        (
            GEMMA3 | {"rope_parameters": NESTED, "rope_local_base_freq": 7.0},
            "rope_local_base_freq=7.0, but the parameters by layer type",
        ),
        (
            GEMMA3 | {"rope_parameters": NESTED | {"rope_type": "linear"}},
            "rope_parameters holds rope_type='linear', but",
        ),
        (
            GEMMA3 | {"rope_parameters": NESTED | {"full": FULL}},
            r"holds \['full'\], which no layer of 'gemma3_text' is",
        ),
        (
            {"model_type": "laguna", "rope_parameters": {"full_attention": FULL}}
            | {"layer_types": ["full_attention", "sliding_attention"]},
            r"an entry for the layer types \['sliding_attention'\]",
        ),
        ({"model_type": "bamba", "partial_rotary_factor": 1.0}, "code of 'bamba' make"),
        ({"model_type": "bamba", "attn_rotary_emb": 32}, "attn_rotary_emb=32, but"),
        (DEEPSEEK | {"head_dim": 192}, "head_dim=192, but .* make it 64"),
        ({"model_type": "mistral4", "head_dim": 64}, "head_dim=64, but"),
        (
            {"model_type": "mistral4", "rope_parameters": FULL}
            | {"partial_rotary_factor": 0.25},
            "partial_rotary_factor=0.25, but",
        ),
        (
            {
                "model_type": "dots3_note_text",
                "rope_parameters": {"rope_theta": 1e4}
                | {"partial_rotary_factor": 0.125},
            },
            "0.125, but the code",
        ),
        (
            {"model_type": "esm", "position_embedding_type": "rotary"}
            | {"rope_scaling": {"type": "linear", "factor": 2.0}},
            "rope_scaling=.* does not read",
        ),
        (
            {"model_type": "cohere2_moe", "rope_scaling": {"type": "default"}},
            "rope_scaling=.* does not read",
        ),
        ({"model_type": "mimo_v2_flash", "swa_rope_theta": 1e5}, "swa_rope_theta=1"),
        ({"model_type": "ultrabert", "rope_theta": 1e4}, "as a list with one base"),
        (
            {"model_type": "step3p5", "rope_parameters": NESTED}
            | {"rope_theta": 7.0, "layer_types": ["full_attention"] * 45},
            "rope_theta=7.0, .* does not read",
        ),
        ({"model_type": "step3p5", "rope_parameters": FULL}, "one dict for each of"),
        ({"model_type": "step3p5", "rope_theta": [1e4]}, "1 rope_theta for 45 layers"),
        (
            {
                "model_type": "step3p5",
                "rope_scaling": {"type": "linear", "factor": 2.0},
            },
            "holds type='linear', .* write rope_type",
        ),
        (
            scaled("dynamic", factor=2.0, original_max_position_embeddings=1024),
            "original_max_position_embeddings=1024, but 'dynamic' counts from",
        ),
        (
            scaled("longrope", **LONGROPE),
            "max_position_embeddings=2048 is below original_max_position_embeddings",
        ),
        ({"model_type": "glm", "partial_rotary_factor": 1.5}, "1.5 must be at most 1"),
        ({"model_type": "gptj", "rotary_dim": 512}, "rotary_dim=512 must be at most h"),
        (
            {"model_type": "llama", "layer_types": ["full_atention"]},
            r"layer_types holds \['full_atention'\]; known are",
        ),
        ({"model_type": "longcat_flash", "num_hidden_layers": 3}, "a multiple of 2"),
        ({"model_type": "glm", "rotary_pct": 1.0}, "rotary_pct=1.0, .* does not read"),
        (
            {"model_type": "deepseek_v4", "qk_rope_head_dim": 64}
            | {"partial_rotary_factor": 0.25},
            "qk_rope_head_dim=64, but the code of 'deepseek_v4' makes it 128",
        ),
        (
            {"model_type": "deepseek_v4", "rope_parameters": {"rope_theta": 7.0}},
            "rope_theta=7.0, but the code of 'deepseek_v4' makes it 160000",
        ),
        (
            {"model_type": "deepseek_v4"}
            | {"rope_scaling": {"partial_rotary_factor": 0.25}},
            "partial_rotary_factor=0.25, but the code of 'deepseek_v4' makes it 0.125",
        ),
        (
            {"model_type": "dots3_note_text", "swa_rope_theta": 7.0}
            | {"rope_parameters": {"rope_theta": 1e4}},
            "swa_rope_theta=7.0, but the code of 'dots3_note_text' makes it 10000.0",
        ),
        (
            {"model_type": "dots3_note_text", "rope_theta": 7.0}
            | {"rope_parameters": {"rope_theta": 1e4}},
            r"rope_theta=7.0, but the parameters by layer .*=\[10000.0, 10000.0\]",
        ),
        (
            {"model_type": "step3p5", "rope_theta": 7.0}
            | {
                "rope_scaling": {
                    "rope_type": "linear",
                    "factor": 2.0,
                    "rope_theta": 9.0,
                }
            },
            "rope_theta=7.0, but the code of 'step3p5' makes it 9.0",
        ),
        (
            {"model_type": "minimax_m3_vl_text", "rotary_dim": 32},
            "rotary_dim=32, .* does not read",
        ),
        (
            {"model_type": "llama4_text", "num_hidden_layers": 8}
            | {"no_rope_layers": [1, 1, 0]},
            "holds 8 layers, and lists that make 3",
        ),
        (
            {"model_type": "gemma4_text", "num_hidden_layers": 6}
            | {"per_layer_config": {"99": {}}},
            r"per_layer_config holds layers \['99'\], of 6 layers",
        ),
        (
            {
                "model_type": "neomme",
                "rope_parameters": {
                    "full_attention": {"type": "linear", "factor": 2.0}
                },
            },
            "holds type='linear', .* write rope_type",
        ),
        (
            {"model_type": "qwen3_vl", "rope_theta": 5e6, "text_config": {}},
            r"rope_theta=5000000.0, .* config\['text_config'\]; write it",
        ),
        (
            {"model_type": "qwen2_5_vl", "rope_theta": 7.0}
            | {"text_config": {"rope_theta": 5e5}},
            r"rope_theta=7.0, .* in config\['text_config'\]",
        ),
        (
            LLAMA | {"use_dynamic_ntk": True},
            "use_dynamic_ntk=True, .* engines differ in the formula",
        ),
        (LLAMA | {"rope_embedding_base": 1e6}, "Hugging Face calls it rope_theta"),
        (LLAMA | {"rope_position_scale": 2.0}, "scales by rope_scaling"),
        (
            {"model_type": "bailing_hybrid", "rotary_dim": 128},
            "rotary_dim=128, .* does not read",
        ),
        (
            LLAVA | {"rope_theta": 1e4},
            r"rope_theta=10000.0, .* config\['text_config'\]",
        ),
        (LLAVA | {"rope_ratio": 8}, "rope_ratio=8, which the code of .*'llava'"),
        (LLAVA | {"text_config": ["llama"]}, r"text_config=\['llama'\] must be a dict"),
        ({"model_type": ["llama"]}, r"model_type=\['llama'\] must be a name"),
        (LLAMA | {"rope_interleaved": True}, "rope_interleaved=True, .* not read"),
        (LLAMA | {"rotary_pct": 0.5}, "rotary_pct=0.5, .* not read"),
        (
            {"model_type": "nemotron", "partial_rotary_factor": 0.5}
            | {"rotary_percent": 0.25},
            "rotary_percent=0.25, which .* calls it partial_rotary_factor",
        ),
    ),
)
def test_what_would_be_dropped_silently_is_said(config, message):
    layer_type = {
        "dots3_note_text": "indexed_attention",
        "cohere2_moe": "sliding_attention",
    }.get(str(config["model_type"]), "full_attention")
    refused(config, message, layer_type=layer_type, seq_len=9)


@pytest.mark.parametrize(
    "config, values",
    (
        (LLAMA | {"rope_parameters": FULL}, {"rope_theta": 500_000}),
        (LLAMA, {"rope_interleaved": False, "rotary_pct": 1.0}),
        ({"model_type": "cohere2", "num_hidden_layers": 1}, {"rotary_pct": 1.0}),
        ({"model_type": "glm_moe_dsa"}, {"rope_interleave": True}),
        ({"model_type": "jetmoe"}, {"rotary_percent": 1.0}),
        (
            {"model_type": "nomic_bert"},
            {"rotary_emb_fraction": 1.0, "rotary_emb_base": 1000}
            | {"rotary_emb_interleaved": False, "rotary_emb_scale_base": None}
            | {"max_trained_positions": 2048},
        ),
        ({"model_type": "paddleocr_vl_text"}, {"rope_is_neox_style": True}),
        (
            {"model_type": "nemotron", "partial_rotary_factor": 0.5},
            {"rotary_percent": 0.5, "rope_percent": 0.5},
        ),
        (
            {"model_type": "bamba"},
            {"partial_rotary_factor": 0.5, "attn_rotary_emb": 64},
        ),
        (DEEPSEEK, {"head_dim": 64}),
        (
            {"model_type": "bailing_hybrid"},
            {"head_dim": 128, "rotary_dim": 64, "rope_interleave": True}
            | {"partial_rotary_factor": 0.5},
        ),
        (LLAVA, {"rope_theta": 5e5}),
        (LLAMA, {"use_dynamic_ntk": False}),
        ({"model_type": "minimax_m3_vl_text"}, {"rotary_dim": 64}),
    ),
)
def test_what_says_the_same_does_no_harm(config, values):
    assert rope_from_hf(config | values) == rope_from_hf(config)


def test_a_width_of_deepseek_v4_that_is_said_twice():
    config, layer_type = {"model_type": "deepseek_v4"}, "main"
    twice = rope_from_hf(config | {"qk_rope_head_dim": 64}, layer_type=layer_type)
    assert twice == rope_from_hf(config, layer_type=layer_type)


def test_a_config_that_was_saved_anew_holds_its_text_twice():
    """What older releases wrote at the top level, and the part that is read."""
    text = {"rope_theta": 5e5, "hidden_size": 3584, "num_attention_heads": 28}
    config = {"model_type": "qwen2_5_vl", "vision_config": {}}
    rope = rope_from_hf(config | text)
    again = config | text | {"text_config": text, "hidden_size": 2048}
    assert rope_from_hf(again) == rope


def test_dynamic_may_name_its_length_twice():
    config = scaled("dynamic", factor=2.0)
    twice = scaled("dynamic", factor=2.0, original_max_position_embeddings=2048)
    for seq_len in (9, 5000):
        expected = rope_from_hf(config, seq_len=seq_len)
        assert rope_from_hf(twice, seq_len=seq_len) == expected


def test_empty_parameters_keep_the_default_of_the_code_away():
    """An empty `rope_scaling` does not."""
    for name, base in (("gpt_oss", 150_000.0), ("apertus", 12e6)):
        config = {"model_type": name, "head_dim": 64}
        plain = rope_from_hf(config | {"rope_parameters": {}})
        assert plain == F.Rope(F.default_inv_freq(64, base))
        assert rope_from_hf(config | {"rope_scaling": {}}) == rope_from_hf(config)
        assert rope_from_hf(config) != plain


def test_lists_that_go_on_for_layers_that_guess_tokens():
    types = ["full_attention", "sliding_attention"] * 3
    config = {"model_type": "step3p5", "num_hidden_layers": 4, "layer_types": types}
    config["rope_theta"] = [float(i + 1) * 1e4 for i in range(6)]
    refused(config, "num_hidden_layers=4 must equal the 6")
    ropes = ropes_from_hf(config | {"num_nextn_predict_layers": 2})
    assert len(ropes) == 4 and ropes[0] == ropes[2] != ropes[1]


def test_what_a_model_that_is_not_known_may_say():
    config = {"model_type": "mine", "head_dim": 64, "rope_theta": 1e4}
    refused(
        config | {"rotary_dim": 32},
        "rotary_dim=32, and .* is not known; .* partial_rotary_factor = rotary_dim / h",
        layout="half",
    )
    refused(
        config | {"no_rope_layers": [1]}, "no_rope_layers=.* not known", layout="half"
    )
    same = rope_from_hf(config | {"rope_interleaved": True}, layout="interleaved")
    assert same == rope_from_hf(config, layout="interleaved")
    with pytest.raises(
        ValueError, match="layout='neox' must be 'half', 'interleaved' or"
    ):
        rope_from_hf(config, layout="neox")


def test_layers_with_two_attentions():
    for config in ({"num_hidden_layers": 4}, {"num_layers": 2}):
        assert len(ropes_from_hf({"model_type": "longcat_flash"} | config)) == 4


def test_a_null_head_dim_is_the_share_of_the_hidden_size():
    config = {"model_type": "ernie4_5", "hidden_size": 256, "num_attention_heads": 4}
    assert rope_from_hf(config | {"head_dim": None}).rotary_pairs == 32
    assert rope_from_hf(config).rotary_pairs == 64


def test_llama_4_scout():
    """Its two bounds are the same."""
    scaling = LLAMA3 | {"factor": 16.0, "high_freq_factor": 1.0, "rope_type": "llama3"}
    text = {"model_type": "llama4_text", "head_dim": 128, "rope_theta": 5e5}
    config = text | {"rope_scaling": scaling}
    plain = F.default_inv_freq(128, 5e5)
    rope = rope_from_hf(config, layer_type="chunked_attention")
    long = 2 * np.pi / plain > 8192
    assert rope == F.Rope(np.where(long, plain / 16, plain), "interleaved")


def test_mimo_as_released():
    config = {"model_type": "mimo_v2_flash", "head_dim": 192, "num_hidden_layers": 48}
    config |= {"rope_theta": 5_000_000, "swa_rope_theta": 10_000}
    config |= {"partial_rotary_factor": 0.334}
    for name, base in (("full_attention", 5e6), ("sliding_attention", 1e4)):
        rope = rope_from_hf(config, layer_type=name)
        assert rope == F.Rope(F.default_inv_freq(64, base))
    scaled = {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}
    nested = dict.fromkeys(("full_attention", "sliding_attention"), scaled)
    config = {"model_type": "mimo_v2_flash", "head_dim": 192, "rope_parameters": nested}
    rope = rope_from_hf(config, layer_type="full_attention")
    assert rope == F.Rope(F.linear_inv_freq(192, 1e4, factor=2.0))


def test_a_name_that_stands_for_the_code_of_another():
    text = {"model_type": "kimi_k2", "rope_theta": 5e4}
    expected = rope_from_hf(DEEPSEEK | {"rope_theta": 5e4})
    assert rope_from_hf(text) == expected
    for around in ("kimi_k25", "x"):
        assert rope_from_hf({"model_type": around, "text_config": text}) == expected


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


# The tables.

# Model types whose own code cannot make a rope of the defaults of its config either, or
# rounds an odd number of channels up.
NOT_FROM_DEFAULTS = {
    "cohere_compass_text": "must hold an entry for the layer types",
    "glm4_moe": r"head_dim=42 \(.*\) and partial_rotary_factor=0.5 make 21",
    "glm4v_moe_text": r"head_dim=42 \(.*\) and partial_rotary_factor=0.5 make 21",
    "glm4v_text": "must sum to the 64 pairs",
    "glm_image_text": "must sum to the 64 pairs",
    "qwen3_omni_moe_text": "make 73 rotating channels",
}


def test_every_family_has_defaults_and_every_default_a_family():
    known = part.tables()["models"]
    assert set(known) == set(families.IN_TRANSFORMERS)
    assert not set(families.ROPE_FAMILIES) & set(families.REFUSED)
    for name in sorted(known):
        config = {"model_type": name}
        message = NOT_FROM_DEFAULTS.get(name)
        if message is None:
            ropes = ropes_of_defaults(name)
            assert all(r is None or r.rotary_pairs > 0 for r in ropes)
        else:
            with pytest.raises(ValueError, match=message):
                ropes_from_hf(config, seq_len=9)


def test_every_default_is_a_key_that_is_read():
    names = {"aliases", "default_rope_theta", "default_partial_rotary_factor"}
    known = vocabulary.STRUCTURE | vocabulary.ROTARY | names
    for name, values in part.tables()["models"].items():
        spelled = set(values.get("aliases", {})) | set(
            values.get("aliases", {}).values()
        )
        assert set(values) <= known | spelled, name


def test_vocabularies_do_not_overlap():
    assert not set(vocabulary.FOREIGN) & vocabulary.ROTARY
    assert not vocabulary.STRUCTURE & vocabulary.ROTARY


def test_rotating_by_a_config_from_end_to_end():
    rope = rope_from_hf(LLAMA)
    x = jax.random.normal(jax.random.key(0), (2, 5, 4, 64))
    cos, sin = F.rope_cos_sin_table(5, 64)
    expected = attnax.apply_rope(x, cos[:, None], sin[:, None])
    np.testing.assert_array_equal(F.rotate(rope, x, np.arange(5)), expected)
