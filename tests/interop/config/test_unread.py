"""Keys that a rope must not go without, and keys that do no harm."""

import pytest
from frequency_methods import LLAMA
from rope_configs import DEEPSEEK, LONGROPE, YARN, refused, scaled

import attnax.functional as F
from attnax.interop import rope_from_hf


def test_keys_of_other_parts_are_left_alone():
    """They say nothing about the rotation, and are listed with what they are about."""
    values = {"llama_4_scaling_beta": 0.1, "max_position_embeddings": 99}
    config = scaled("yarn", **YARN, **values)
    assert rope_from_hf(config) == rope_from_hf(scaled("yarn", **YARN))
    assert rope_from_hf(LLAMA | {"partial_rotary_factor": 1.0}) == rope_from_hf(LLAMA)
    assert rope_from_hf(LLAMA | {"rotary_base": None, "vocab_size": 7}) is not None


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
            {"model_type": "minimax_m2", "rotary_dim": 32}
            | {"partial_rotary_factor": 0.5},
            "rotary_dim=32, .* does not read",
        ),
        (
            {"model_type": "minimax_m2", "rotary_dim": 32, "head_dim": 128}
            | {"rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}},
            "rotary_dim=32, .* does not read",
        ),
        (
            {"model_type": "llama4_text", "num_hidden_layers": 8}
            | {"no_rope_layers": [1, 1, 0]},
            "holds 8 layers, but its lists describe 3",
        ),
        (
            {"model_type": "gemma4_text", "num_hidden_layers": 6}
            | {"per_layer_config": {"99": {}}},
            r"per_layer_config holds the layers \['99'\], but the model has 6 layers",
        ),
        (
            {"model_type": "smollm3", "layer_types": ["full_attention"] * 4}
            | {"num_hidden_layers": 4, "no_rope_layers": [1, 1, 0]},
            r"holds 3 no_rope_layers for 4 layers: \[1, 1, 0\]",
        ),
        (
            {"model_type": "cohere2_moe", "num_hidden_layers": 4}
            | {"mlp_layer_types": ["dense", "sparse"]},
            "holds 2 mlp_layer_types for 4 layers",
        ),
        (
            {"model_type": "granite_swa", "num_hidden_layers": 4}
            | {"layer_rope_theta": [1e4]},
            r"holds 1 layer_rope_theta for 4 layers: \[10000\.0\]",
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
            r"rope_theta=5000000.0, .* config\['text_config'\]: write the key",
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


def test_a_config_that_was_saved_anew_holds_its_text_twice():
    """What older releases wrote at the top level, and the part that is read."""
    text = {"rope_theta": 5e5, "hidden_size": 3584, "num_attention_heads": 28}
    config = {"model_type": "qwen2_5_vl", "vision_config": {}}
    rope = rope_from_hf(config | text)
    again = config | text | {"text_config": text, "hidden_size": 2048}
    assert rope_from_hf(again) == rope


def test_empty_parameters_keep_the_default_of_the_code_away():
    """An empty `rope_scaling` does not."""
    for name, base in (("gpt_oss", 150_000.0), ("apertus", 12e6)):
        config = {"model_type": name, "head_dim": 64}
        plain = rope_from_hf(config | {"rope_parameters": {}})
        assert plain == F.Rope(F.default_inv_freq(64, base))
        assert rope_from_hf(config | {"rope_scaling": {}}) == rope_from_hf(config)
        assert rope_from_hf(config) != plain


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
