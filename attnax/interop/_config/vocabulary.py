"""The vocabulary of rotary embeddings in configs: which keys must not go unread.

Keys outside these tables are not looked at.
"""

# At the level of the model. Whoever reads a config without reading one of these would
# drop something that its author said about rotary positions.
TOP_LEVEL = frozenset(
    """
    rope_parameters rope_scaling rope_theta rope_type rope_local_base_freq
    global_rope_theta local_rope_theta compress_rope_theta swa_rope_theta
    layer_rope_theta memory_attention_rope_theta
    partial_rotary_factor partial_rotary_factors rotary_pct rotary_emb_base rotary_dim
    rotary_embedding_base rotary_value rope_interleave rope_interleaved mrope_section
    mrope_interleaved no_rope_layers no_rope_layer_interval rope_scaling_layers
    use_mem_rope use_long_context use_rotary_embedding
    qk_rope_head_dim swa_qk_rope_head_dim
    llama_4_scaling_beta spatial_rope_base_frequency num_spatial_rope_pairs_per_axis
    num_uid_rope_pairs uid_rope_base_frequency
    """.split()
)

# Sizes and lists that say which layers there are and how wide their heads.
STRUCTURE = frozenset(
    """
    hidden_size num_attention_heads num_hidden_layers head_dim qk_nope_head_dim
    max_position_embeddings original_max_position_embeddings layer_types
    layers_block_type mlp_layer_types embed_dim projection_dim
    speech_encoder_attention_heads sliding_window use_sliding_window
    sliding_window_pattern prefix_dense_sliding_window_pattern first_k_dense_replace
    global_attn_every_n_layers full_attention_interval attn_layer_indices full_attn_idxs
    block_types layer_group_size alibi position_embedding_type position_embeddings_type
    memory_attention_hidden_size memory_attention_downsample_rate
    memory_attention_num_attention_heads memory_attention_num_layers num_layers
    num_attention_layers hybrid_layer_pattern
    """.split()
)

# Names of other engines for keys of Hugging Face.
RENAMED = {
    name: key
    for key, names in {
        "rope_theta": """
            rotary_base rope_base rotary_theta rope_freq_base rope_embedding_base
        """,
        "partial_rotary_factor": """
            rotary_percentage rotary_percent rope_pct rope_percent rotary_emb_fraction
        """,
        "original_max_position_embeddings": "max_trained_positions",
        "mrope_section": "xdrope_section",
    }.items()
    for name in names.split()
}
# All names of other engines, and what is known about each.
FOREIGN = {
    name: f"if it was written for another engine, Hugging Face calls it {key}; if not, "
    "remove it"
    for name, key in RENAMED.items()
} | {
    name: instead
    for instead, names in {
        "Hugging Face has partial_rotary_factor, which is the channels that rotate "
        "over head_dim": "rotary_ndims rotary_emb_dim attn_rotary_emb rope_dim",
        "some engines multiply the base by it, and some divide positions by it": """
            rope_ratio
        """,
        "Hugging Face scales by rope_scaling, whose rope_type says how": """
            rope_factor rope_scaling_factor rotary_scaling_factor rope_freq_scale
            rope_position_scale
        """,
        "engines differ in the formula that it switches on; rope_scaling with "
        "rope_type 'dynamic' is that of Hugging Face": "use_dynamic_ntk dynamic_ntk",
        "the argument layout says how channels are paired; remove it": """
            rope_traditional rotary_interleaved rotary_emb_interleaved is_neox_style
            rope_is_neox_style
        """,
        "it is xPos, see xpos_cos_sin": "rotary_emb_scale_base",
        "Fourier position embedding is no rotation by position": "use_fope",
    }.items()
    for name in names.split()
}
# Keys that say how a model of a type that is not known rotates, in a way that differs
# from one code to another.
UNCLEAR = frozenset(
    """
    kv_channels attention_head_dim rotary original_rope position_encoding_2d
    attention_projection_size
    """.split()
)
# Keys among the parameters of RoPE.
INNER = frozenset(
    """
    rope_type type rope_theta factor original_max_position_embeddings attention_factor
    beta_fast beta_slow mscale mscale_all_dim truncate short_factor long_factor
    short_mscale long_mscale low_freq_factor high_freq_factor partial_rotary_factor
    mrope_section mrope_interleaved interleaved alpha llama_4_scaling_beta finetuned
    max_position_embeddings
    """.split()
)
# Switches of other engines that do nothing while they are off.
SWITCHES = frozenset(("use_dynamic_ntk", "dynamic_ntk", "use_fope"))

# Of which part of the model these keys speak where no rotary embedding reads them.
ELSEWHERE = {
    "llama_4_scaling_beta": "the temperature of queries: query_temperature",
    "max_position_embeddings": "the length that the model is served with",
    "finetuned": "how the scaling was trained",
}

# Types of other engines, and types whose name says nothing without their code.
FOREIGN_TYPES = {
    "su": "'longrope', which only the Phi-3 family calls 'su'",
    "mrope": "'default' with mrope_section, in a model whose positions have several "
    "axes: 'qwen2_5_vl_text' has them in sections, 'qwen3_vl_text' in turn",
    "xdrope": "'dynamic' with alpha if the model is Hunyuan's, whose code alone reads "
    "it",
    "ntk": "what its code makes of it: engines differ, see ntk_inv_freq",
    "deepseek_yarn": "'yarn'; its attention factor is yarn_attention_factor with "
    "rule='deepseek'",
    "telechat3-yarn": "'yarn' with attention_factor = 0.07 * ln(factor) + 1",
}
