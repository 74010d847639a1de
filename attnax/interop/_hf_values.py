"""What the value of a key must be, so that an error names a wrong one."""

import math
from collections.abc import Mapping


def is_number(value):
    """A finite number, and no truth value, which Python takes for one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def _whole(least):
    def test(value):
        return is_number(value) and least <= value <= 2**53 and value == int(value)

    return test


def _listed(test):
    return lambda value: (
        isinstance(value, list | tuple) and all(test(entry) for entry in value)
    )


def _by_layer(value):
    """Numbers of layers, which JSON writes as strings, to dicts."""
    return isinstance(value, Mapping) and all(
        str(index).isdecimal() and isinstance(changes, Mapping)
        for index, changes in value.items()
    )


def _base(value):
    """One base, or one per layer; whether the code takes a list, it says itself."""
    return is_number(value) or _listed(is_number)(value)


_KINDS = (
    (
        "a positive whole number",
        _whole(1),
        """
        hidden_size num_attention_heads num_hidden_layers head_dim global_head_dim
        qk_rope_head_dim qk_nope_head_dim swa_head_dim swa_qk_nope_head_dim
        swa_qk_rope_head_dim rotary_dim embed_dim projection_dim
        speech_encoder_attention_heads memory_attention_hidden_size
        memory_attention_downsample_rate memory_attention_num_attention_heads
        memory_attention_num_layers num_layers num_attention_layers
        max_position_embeddings sliding_window_pattern
        prefix_dense_sliding_window_pattern global_attn_every_n_layers
        full_attention_interval layer_group_size no_rope_layer_interval
    """,
    ),
    ("a whole number", _whole(0), "first_k_dense_replace num_nextn_predict_layers"),
    (
        "a list of whole numbers",
        _listed(_whole(0)),
        """
        no_rope_layers full_attn_idxs attn_layer_indices cross_attention_layers
        rope_scaling_layers compress_ratios mrope_section
    """,
    ),
    (
        "a list of numbers",
        _listed(is_number),
        "layer_rope_theta partial_rotary_factors short_factor long_factor",
    ),
    ("a number, or a list of numbers", _base, "rope_theta"),
    (
        "a list of names",
        _listed(lambda value: isinstance(value, str)),
        "layer_types layers_block_type mlp_layer_types block_types",
    ),
    (
        "a dict",
        lambda value: isinstance(value, Mapping),
        "rope_parameters rope_scaling attn_config",
    ),
    ("a dict from layers to dicts", _by_layer, "per_layer_config"),
    (
        "true or false",
        lambda value: isinstance(value, bool),
        """
        rope_interleave rope_interleaved mrope_interleaved interleaved truncate alibi
        use_sliding_window use_dsa use_mem_rope use_rotary_embedding
    """,
    ),
    (
        "a name",
        lambda value: isinstance(value, str),
        "rope_type type position_embedding_type position_embeddings_type",
    ),
)
KINDS = {key: (words, test) for words, test, keys in _KINDS for key in keys.split()}
