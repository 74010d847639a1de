"""Configurations whose layers rotate by another pattern than by default.

Raw dicts, as `config.json` files hold them; the model type is the key.
"""

_SLIDING_FULL = ["sliding_attention", "full_attention", "full_attention"]
_THETAS = {
    "num_hidden_layers": 4,
    "layer_rope_theta": [0, 2e4, 1e6, 0],
    "layer_types": ["full_attention", *_SLIDING_FULL],
}
CHANGED = {
    "afmoe": [
        ("other period", {"num_hidden_layers": 6, "global_attn_every_n_layers": 3}),
    ],
    "bamba": [
        ("other indices", {"num_hidden_layers": 6, "attn_layer_indices": [1, 4]}),
    ],
    "cohere2": [
        ("other types", {"num_hidden_layers": 3, "layer_types": _SLIDING_FULL}),
        ("other period", {"num_hidden_layers": 4, "sliding_window_pattern": 2}),
    ],
    "cohere2_moe": [
        (
            "dense prefix of period 1",
            {
                "num_hidden_layers": 8,
                "first_k_dense_replace": 2,
                "prefix_dense_sliding_window_pattern": 1,
            },
        ),
        (
            "dense prefix of period 2",
            {
                "num_hidden_layers": 8,
                "first_k_dense_replace": 3,
                "prefix_dense_sliding_window_pattern": 2,
            },
        ),
    ],
    "deepseek_v4": [
        (
            "sliding layers",
            {"num_hidden_layers": 4, "compress_ratios": [0, 4, 128, 0]},
        ),
    ],
    "dots3_note_text": [
        ("without sparse attention", {"num_hidden_layers": 6, "use_dsa": False}),
        (
            "without window",
            {"num_hidden_layers": 4, "use_sliding_window": False},
        ),
    ],
    "esm": [
        (
            "absolute positions",
            {
                "vocab_size": 33,
                "pad_token_id": 1,
                "position_embedding_type": "absolute",
                "num_hidden_layers": 2,
            },
        ),
    ],
    "exaone4": [
        (
            "no window",
            {
                "num_hidden_layers": 3,
                "layer_types": ["full_attention"] * 3,
                "sliding_window": None,
            },
        ),
        ("other types", {"num_hidden_layers": 3, "layer_types": _SLIDING_FULL}),
    ],
    "exaone_moe": [
        ("other types", {"num_hidden_layers": 3, "layer_types": _SLIDING_FULL}),
    ],
    "falcon": [
        ("alibi", {"alibi": True, "num_hidden_layers": 2}),
    ],
    "flint": [("seven layers", {"num_hidden_layers": 7})],
    "gemma3_text": [
        (
            "other period, v4",
            {
                "num_hidden_layers": 6,
                "sliding_window_pattern": 3,
                "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                "rope_local_base_freq": 2e4,
            },
        ),
    ],
    "gemma4_text": [
        (
            "other types",
            {"num_hidden_layers": 3, "layer_types": _SLIDING_FULL},
        ),
    ],
    "granite_swa": [("bases by layer", _THETAS)],
    "granitemoe_swa": [("bases by layer", _THETAS)],
    "granitemoehybrid": [
        (
            "no positions",
            {
                "num_hidden_layers": 2,
                "layer_types": ["linear_attention", "full_attention"],
                "position_embedding_type": None,
            },
        ),
        (
            "old names",
            {
                "num_hidden_layers": 3,
                "layer_types": ["mamba", "attention", "mamba"],
                "position_embedding_type": "rope",
            },
        ),
    ],
    "kolibri1": [("eleven layers", {"num_hidden_layers": 11})],
    "lfm2": [
        ("other indices", {"num_hidden_layers": 5, "full_attn_idxs": [0, 3]}),
        ("no list", {"num_hidden_layers": 3}),
    ],
    "lfm3": [("other depth", {"num_hidden_layers": 11})],
    "llama4_text": [
        ("other interval", {"num_hidden_layers": 6, "no_rope_layer_interval": 3}),
        ("flags", {"num_hidden_layers": 4, "no_rope_layers": [1, 0, 0, 1]}),
    ],
    "minimax": [("five layers", {"num_hidden_layers": 5})],
    "mistral_large4_text": [
        ("other depth", {"num_hidden_layers": 6, "num_kv_shared_layers": 0}),
    ],
    "modernbert": [
        (
            "other period, v4",
            {
                "num_hidden_layers": 5,
                "global_attn_every_n_layers": 2,
                "local_rope_theta": 2e4,
            },
        ),
    ],
    "molmo2_text": [
        (
            "scaled layers",
            {
                "num_hidden_layers": 4,
                "rope_scaling": {
                    "rope_type": "yarn",
                    "factor": 8.0,
                    "original_max_position_embeddings": 2048,
                },
                "rope_scaling_layers": [1, 3],
            },
        ),
    ],
    "muse_glimmer_text": [("bases by layer", _THETAS)],
    "muse_spark_text": [
        ("bases by layer", _THETAS),
        ("other depth", {"num_hidden_layers": 7}),
    ],
    "olmo_hybrid": [("three layers", {"num_hidden_layers": 3})],
    "qwen3_5_text": [
        ("other interval", {"num_hidden_layers": 6, "full_attention_interval": 3}),
    ],
    "qwen3_next": [
        ("other interval", {"num_hidden_layers": 6, "full_attention_interval": 3}),
    ],
    "recurrent_gemma": [
        (
            "other blocks",
            {"num_hidden_layers": 5, "block_types": ["attention", "recurrent"]},
        ),
    ],
    "smollm3": [
        ("other interval", {"num_hidden_layers": 6, "no_rope_layer_interval": 3}),
        ("flags", {"num_hidden_layers": 4, "no_rope_layers": [1, 0, 0, 1]}),
    ],
    "step3p5": [
        (
            "lists by layer",
            {
                "num_hidden_layers": 4,
                "layer_types": ["full_attention", *["sliding_attention"] * 3],
                "rope_theta": [5e6, 1e4, 1e4, 1e4],
                "partial_rotary_factors": [0.5, 1.0, 1.0, 1.0],
                "sliding_window": 512,
            },
        ),
    ],
    "zamba2": [("switched off", {"use_mem_rope": False})],
    "zaya": [("four layers", {"num_hidden_layers": 4})],
}
