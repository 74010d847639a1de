"""Keys that models of Hugging Face read."""

from ..values import (
    BASE,
    BLOCKS,
    BOUNDED,
    BY_LAYER,
    COUNT,
    COUNTS,
    FLAG,
    MAPPING,
    NAME,
    NAMES,
    NUMBERS,
    SIZE,
)
from .key import Key

_ROTARY = (
    ("rope_parameters rope_scaling", Key(MAPPING, rotary=True, common=True)),
    ("rope_theta", Key(BASE, rotary=True, inner=True, common=True)),
    ("rope_type", Key(NAME, rotary=True, inner=True, common=True)),
    ("partial_rotary_factor", Key(rotary=True, inner=True, common=True)),
    ("rope_interleave rope_interleaved", Key(FLAG, rotary=True, common=True)),
    ("mrope_section", Key(COUNTS, rotary=True, inner=True)),
    ("mrope_interleaved", Key(FLAG, rotary=True, inner=True)),
    (
        """
        rope_local_base_freq global_rope_theta local_rope_theta compress_rope_theta
        swa_rope_theta memory_attention_rope_theta rotary_embedding_base rotary_value
        spatial_rope_base_frequency num_spatial_rope_pairs_per_axis num_uid_rope_pairs
        uid_rope_base_frequency
        """,
        Key(rotary=True),
    ),
    ("layer_rope_theta partial_rotary_factors", Key(NUMBERS, rotary=True)),
    ("no_rope_layers rope_scaling_layers", Key(COUNTS, rotary=True)),
    ("no_rope_layer_interval", Key(SIZE, rotary=True)),
    ("use_mem_rope use_long_context use_rotary_embedding", Key(FLAG, rotary=True)),
    ("swa_qk_rope_head_dim", Key(BOUNDED, rotary=True)),
    (
        "qk_rope_head_dim",
        Key(
            BOUNDED, rotary=True, stands_for="head_dim, which is the width that rotates"
        ),
    ),
    (
        "rotary_dim",
        Key(
            BOUNDED,
            rotary=True,
            stands_for="partial_rotary_factor = rotary_dim / head_dim",
        ),
    ),
    ("rotary_pct", Key(rotary=True, stands_for="partial_rotary_factor")),
    ("rotary_emb_base", Key(rotary=True, stands_for="rope_theta")),
    # The temperature of queries, see query_temperature.
    ("llama_4_scaling_beta", Key(rotary=True, inner=True, elsewhere=True)),
)
_STRUCTURE = (
    (
        """
        hidden_size num_attention_heads qk_nope_head_dim embed_dim projection_dim
        speech_encoder_attention_heads sliding_window_pattern
        prefix_dense_sliding_window_pattern global_attn_every_n_layers
        full_attention_interval layer_group_size memory_attention_hidden_size
        memory_attention_downsample_rate memory_attention_num_attention_heads
        """,
        Key(SIZE, structure=True),
    ),
    ("original_max_position_embeddings", Key(SIZE, structure=True, inner=True)),
    # The length that the model is served with.
    ("max_position_embeddings", Key(SIZE, structure=True, inner=True, elsewhere=True)),
    (
        """
        num_hidden_layers num_layers num_attention_layers memory_attention_num_layers
        head_dim
        """,
        Key(BOUNDED, structure=True),
    ),
    ("first_k_dense_replace", Key(COUNT, structure=True)),
    (
        "attn_layer_indices full_attn_idxs hybrid_layer_pattern",
        Key(COUNTS, structure=True),
    ),
    (
        "layer_types layers_block_type mlp_layer_types block_types",
        Key(NAMES, structure=True),
    ),
    ("position_embedding_type position_embeddings_type", Key(NAME, structure=True)),
    ("use_sliding_window alibi", Key(FLAG, structure=True)),
    ("sliding_window", Key(structure=True)),
)
# Keys that single families read.
_FURTHER = (
    ("swa_qk_nope_head_dim seq_length", Key(SIZE)),
    ("global_head_dim swa_head_dim", Key(BOUNDED)),
    ("num_nextn_predict_layers", Key(COUNT)),
    ("cross_attention_layers compress_ratios", Key(COUNTS)),
    ("use_dsa use_mla", Key(FLAG)),
    ("attn_config", Key(MAPPING)),
    ("per_layer_config", Key(BY_LAYER)),
    ("block_configs", Key(BLOCKS)),
)
# Keys that stand among the parameters of RoPE only.
_INNER = (
    ("type", Key(NAME, inner=True)),
    ("truncate interleaved", Key(FLAG, inner=True)),
    ("short_factor long_factor", Key(NUMBERS, inner=True)),
    (
        """
        factor attention_factor beta_fast beta_slow mscale mscale_all_dim short_mscale
        long_mscale low_freq_factor high_freq_factor alpha mixed_b
        """,
        Key(inner=True),
    ),
    # Whether the model was trained with the scaling.
    ("finetuned", Key(inner=True, elsewhere=True)),
)

ROWS = (*_ROTARY, *_STRUCTURE, *_FURTHER, *_INNER)
