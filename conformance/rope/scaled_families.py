"""Scaled configurations of single families, and configurations to refuse."""

from .scaled import (
    DYNAMIC,
    LINEAR,
    LLAMA,
    LLAMA3,
    METHODS,
    YARN,
    late_version_4,
    longrope,
    version_4,
    version_5,
)

_PHI3 = {"model_type": "phi3", "hidden_size": 768, "num_attention_heads": 8}
_PHI3_LENGTHS = {
    "max_position_embeddings": 131_072,
    "original_max_position_embeddings": 4096,
}
_PHIMOE = {"model_type": "phimoe", "hidden_size": 1024, "num_attention_heads": 16}
_MSCALES = {"short_mscale": 1.25, "long_mscale": 1.5}
_DEEPSEEK = {
    "rope_type": "yarn",
    "factor": 40,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 1.0,
    "original_max_position_embeddings": 4096,
}
_LATENT = {"qk_rope_head_dim": 32, "qk_nope_head_dim": 96, "num_hidden_layers": 4}
_HUNYUAN = {
    "rope_type": "dynamic",
    "alpha": 1000.0,
    "factor": 1.0,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 1.0,
    "mscale_all_dim": 0.0,
}
_GEMMA3 = {"model_type": "gemma3_text", "head_dim": 64, "num_hidden_layers": 6}
_MODERNBERT = {"model_type": "modernbert", "num_hidden_layers": 6}
_OLMO3 = {"model_type": "olmo3", "num_hidden_layers": 4, "hidden_size": 1024}
_QWEN2_VL = {"model_type": "qwen2_vl_text", "num_hidden_layers": 2}
_QWEN3_VL = {"model_type": "qwen3_vl_text", "num_hidden_layers": 2}
_GLM = {"model_type": "glm", "num_hidden_layers": 2, "head_dim": 64}
_STABLELM = {
    "model_type": "stablelm",
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
}
_NEOX = {"model_type": "gpt_neox", "hidden_size": 512, "num_attention_heads": 8}
_DEEPSEEK_V4 = {"model_type": "deepseek_v4", "num_hidden_layers": 4}
_STEP = {"model_type": "step3p5", "num_hidden_layers": 4, "head_dim": 64}
_STEP_TYPES = ["full_attention"] + ["sliding_attention"] * 3

SINGLE = {
    "phi3": [
        ("longrope, v5", _PHI3 | _PHI3_LENGTHS | version_5(longrope(48), 1e4)),
        ("longrope, v4", _PHI3 | _PHI3_LENGTHS | version_4(longrope(48), 1e4)),
        (
            "su, v4",
            _PHI3 | _PHI3_LENGTHS | version_4(longrope(48, rope_type="su"), 1e4),
        ),
        (
            "yarn for longrope, v4",
            _PHI3 | _PHI3_LENGTHS | version_4(longrope(48, rope_type="yarn"), 1e4),
        ),
        (
            "longrope, three quarters, v4",
            _PHI3
            | _PHI3_LENGTHS
            | {"partial_rotary_factor": 0.75}
            | version_4(longrope(36), 1e4),
        ),
    ],
    "phimoe": [
        (f"longrope, {name}", _PHIMOE | _PHI3_LENGTHS | spell(parameters, 1e4))
        for name, spell in (("v5", version_5), ("v4", version_4))
        for parameters in (longrope(32, **_MSCALES),)
    ],
    "gpt_oss": [
        ("yarn, v5", {"model_type": "gpt_oss"} | version_5(YARN, 1.5e5)),
        (
            "yarn, not truncated, v4",
            {"model_type": "gpt_oss"} | version_4(YARN | {"truncate": False}, 1.5e5),
        ),
        ("linear, v4", {"model_type": "gpt_oss"} | version_4(LINEAR, 1e5)),
    ],
    "mistral4": [
        (
            "yarn, v5",
            {"model_type": "mistral4"}
            | _LATENT
            | version_5(_DEEPSEEK | {"llama_4_scaling_beta": 0.1}, 1e4),
        ),
        (
            "yarn, other mscales, v5",
            {"model_type": "mistral4"}
            | _LATENT
            | version_5(_DEEPSEEK | {"mscale": 0.5, "llama_4_scaling_beta": 0.2}, 1e4),
        ),
    ],
    "deepseek_v3": [
        ("yarn, v4", {"model_type": "deepseek_v3"} | version_4(_DEEPSEEK, 1e4)),
        (
            "yarn, other mscales, v5",
            {"model_type": "deepseek_v3"}
            | _LATENT
            | version_5(_DEEPSEEK | {"mscale": 0.707, "mscale_all_dim": 0.3}, 1e4),
        ),
        (
            "halves, v5",
            {"model_type": "deepseek_v3", "rope_interleave": False}
            | version_5(_DEEPSEEK, 1e4),
        ),
    ],
    "deepseek_v2": [
        ("yarn, v4", {"model_type": "deepseek_v2"} | version_4(_DEEPSEEK, 1e4)),
    ],
    "hunyuan_v1_dense": [
        (
            f"alpha, {name}",
            {"model_type": "hunyuan_v1_dense", "head_dim": 64} | spell(_HUNYUAN, 1e4),
        )
        for name, spell in (("v5", version_5), ("v4", version_4))
    ]
    + [
        (
            "dynamic without alpha, v4",
            {"model_type": "hunyuan_v1_dense", "head_dim": 64}
            | version_4(DYNAMIC, 1e4),
        ),
    ],
    "hunyuan_v1_moe": [
        (
            "alpha, v4",
            {"model_type": "hunyuan_v1_moe", "head_dim": 64}
            | version_4(_HUNYUAN | {"alpha": 50.0}, 1e4),
        ),
    ],
    "gemma3_text": [
        ("linear, v4", _GEMMA3 | late_version_4(LINEAR | {"factor": 8.0}, 1e6)),
        (
            "other bases, v4",
            _GEMMA3 | {"rope_theta": 5e5, "rope_local_base_freq": 2e4},
        ),
        (
            "yarn, v5",
            _GEMMA3
            | {
                "rope_parameters": {
                    "full_attention": {"rope_theta": 1e6, **YARN},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 3e4},
                }
            },
        ),
    ],
    "modernbert": [
        (
            "bases, v4",
            _MODERNBERT | {"global_rope_theta": 8e4, "local_rope_theta": 2e4},
        ),
        (
            "linear, v4",
            _MODERNBERT | {"rope_scaling": LINEAR, "global_rope_theta": 8e4},
        ),
        (
            "yarn, v5",
            _MODERNBERT
            | {
                "rope_parameters": {
                    "full_attention": {"rope_theta": 8e4, **YARN},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 3e4},
                }
            },
        ),
    ],
    "olmo3": [
        ("yarn, v4", _OLMO3 | late_version_4(YARN | {"attention_factor": 1.2}, 4e5)),
        (
            "llama3, v5",
            _OLMO3
            | {
                "rope_parameters": {
                    "full_attention": {"rope_theta": 1e6, **LLAMA3},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 3e4},
                }
            },
        ),
    ],
    "qwen2_vl_text": [
        (
            "mrope, v4",
            _QWEN2_VL
            | {
                "rope_theta": 1e6,
                "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
            },
        ),
        (
            "yarn, v5",
            _QWEN2_VL | version_5(YARN | {"mrope_section": [20, 20, 24]}, 1e6),
        ),
        (
            "yarn, v4",
            _QWEN2_VL | version_4(YARN | {"mrope_section": [8, 16, 40]}, 1e6),
        ),
    ],
    "qwen3_vl_text": [
        (
            "yarn, v4",
            _QWEN3_VL
            | version_4(
                YARN | {"mrope_section": [24, 20, 20], "mrope_interleaved": True}, 5e6
            ),
        ),
        (
            "linear, other sections, v5",
            _QWEN3_VL | version_5(LINEAR | {"mrope_section": [30, 17, 17]}, 5e6),
        ),
    ],
    "glm": [
        (
            f"half of the head, {name}, {version}",
            _GLM | {"partial_rotary_factor": 0.5} | spell(parameters, 1e4),
        )
        for name, parameters in (
            ("linear", LINEAR),
            ("yarn", YARN),
            ("dynamic", DYNAMIC),
            ("llama3", LLAMA3),
        )
        for version, spell in (("v5", version_5), ("v4", version_4))
    ],
    "stablelm": [
        ("v4", _STABLELM | {"rope_theta": 3e4, "partial_rotary_factor": 0.5}),
        (
            "linear, v4",
            _STABLELM | {"partial_rotary_factor": 0.25} | version_4(LINEAR, 3e4),
        ),
    ],
    "gpt_neox": [
        ("v4", _NEOX | {"rotary_pct": 0.5, "rotary_emb_base": 3e4}),
        (
            "yarn, v4",
            _NEOX | {"rotary_pct": 0.5, "rotary_emb_base": 3e4, "rope_scaling": YARN},
        ),
        ("v5", _NEOX | version_5({"rope_type": "default"}, 3e4)),
    ],
    "minimax_m2": [
        (
            "rotary_dim, v4",
            {"model_type": "minimax_m2", "head_dim": 128, "rotary_dim": 64}
            | {"rope_theta": 5e6},
        ),
        (
            "rotary_dim, yarn, v4",
            {"model_type": "minimax_m2", "head_dim": 128, "rotary_dim": 32}
            | version_4(YARN, 5e6),
        ),
    ],
    "gemma4_text": [
        (
            "per_layer_config, v5",
            {
                "model_type": "gemma4_text",
                "num_hidden_layers": 4,
                "head_dim": 64,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
                "per_layer_config": {1: {"head_dim": 128}, 3: {"head_dim": 128}},
            },
        ),
        (
            "global_head_dim, other parameters, v5",
            {
                "model_type": "gemma4_text",
                "num_hidden_layers": 4,
                "head_dim": 64,
                "global_head_dim": 256,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
                "rope_parameters": {
                    "full_attention": METHODS["proportional, factor"]
                    | {"rope_theta": 1e6},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
                },
            },
        ),
    ],
    "deepseek_v4": [
        (
            "yarn, v4",
            _DEEPSEEK_V4
            | {"rope_theta": 2e4, "compress_rope_theta": 1.2e5, "rope_scaling": YARN}
            | {"compress_ratios": [0, 0, 4, 128], "qk_rope_head_dim": 64},
        ),
        (
            "yarn, v5",
            _DEEPSEEK_V4
            | {
                "layer_types": ["sliding_attention", "compressed_sparse_attention"] * 2,
                "rope_parameters": {
                    "main": {
                        "rope_type": "default",
                        "rope_theta": 2e4,
                        "partial_rotary_factor": 0.125,
                    },
                    "compress": YARN
                    | {"rope_theta": 1.2e5, "partial_rotary_factor": 0.125}
                    | {"attention_factor": 1.0},
                },
            },
        ),
    ],
    "step3p5": [
        (
            "lists, v4",
            _STEP
            | {
                "layer_types": _STEP_TYPES,
                "rope_theta": [5e6, 1e4, 1e4, 1e4],
                "partial_rotary_factors": [0.5, 1.0, 1.0, 1.0],
                "rope_scaling": LLAMA3,
                "sliding_window": 512,
            },
        ),
    ],
    "falcon": [
        (
            "dynamic, v4",
            {"model_type": "falcon", "max_position_embeddings": 2048}
            | version_4(DYNAMIC, 1e4),
        ),
    ],
    "persimmon": [
        (
            "linear, v4",
            {"model_type": "persimmon", "partial_rotary_factor": 0.5}
            | version_4(LINEAR, 2.5e4),
        ),
    ],
    "nemotron": [
        (
            "v4",
            {"model_type": "nemotron", "num_key_value_heads": 8}
            | {"rope_theta": 2e4, "partial_rotary_factor": 0.25},
        ),
        (
            "partial name in version 5",
            {"model_type": "nemotron", "num_key_value_heads": 8}
            | version_5(LINEAR | {"partial_rotary_factor": 0.75}, 2e4),
        ),
    ],
    "cohere": [
        ("llama3, v5", {"model_type": "cohere"} | version_5(LLAMA3, 8e6)),
    ],
    "gptj": [
        ("rotary_dim", {"model_type": "gptj", "rotary_dim": 32}),
    ],
    "ultrabert": [
        (
            "linear, v5",
            {
                "model_type": "ultrabert",
                "num_hidden_layers": 6,
                "rope_parameters": {
                    "full_attention": {"rope_theta": 1.6e5, **LINEAR},
                    "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
                },
            },
        ),
    ],
}

# Reasons to raise a `ValueError`, each with a config that must.
REFUSED = [
    (
        "a factor below 1 makes no longer context",
        LLAMA | version_5(YARN | {"factor": 0.5}, 1e4),
    ),
    (
        "transformers does not read the old name of the type here",
        {"model_type": "t5gemma2_text"} | version_4(LINEAR, 1e6),
    ),
    (
        "transformers does not read the old name of the type here",
        {"model_type": "modernbert"} | version_4(YARN, 1.6e5),
    ),
    (
        "two types contradict each other",
        LLAMA | version_5(YARN | {"type": "linear"}, 1),
    ),
    ("an unknown type", LLAMA | version_5(YARN | {"rope_type": "yarm"}, 1e4)),
    ("a required key is missing", LLAMA | version_5({"rope_type": "linear"}, 1e4)),
    ("lists of another length", LLAMA | version_5(longrope(31), 1e4)),
    ("sections of another sum", _QWEN2_VL | version_5({"mrope_section": [8] * 3}, 1e4)),
    (
        "Phi-3 takes longrope only",
        _PHI3 | _PHI3_LENGTHS | version_5(LINEAR, 1e4),
    ),
    (
        "pictures take axial positions only",
        {"model_type": "qwen2_vl_vision"} | version_5(LINEAR, 1e4),
    ),
    ("no such key", LLAMA | version_5(LINEAR | {"factr": 2.0}, 1e4)),
]
