"""Names, defaults and rules of single families."""

import numpy as np
import pytest
from frequency_methods import LLAMA, LONG, SHORT
from rope_configs import DEEPSEEK, GEMMA3_4B, LLAMA3, LONGROPE, refused

import attnax.functional as F
from attnax.interop import rope_from_hf, ropes_from_hf


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


def test_a_width_of_deepseek_v4_that_is_said_twice():
    config, layer_type = {"model_type": "deepseek_v4"}, "main"
    twice = rope_from_hf(config | {"qk_rope_head_dim": 64}, layer_type=layer_type)
    assert twice == rope_from_hf(config, layer_type=layer_type)


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
