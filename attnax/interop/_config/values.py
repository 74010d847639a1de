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


def shown(value):
    """A value in an error, which a config may hold at any length."""
    try:
        return shortened(repr(value), 200)
    except ValueError:  # an int of more digits than Python writes
        return "a number of thousands of digits"


def shortened(text, most=1000):
    """The text, without its middle if it is long."""
    return text if len(text) <= most else f"{text[: most - 100]} ... {text[-90:]}"


def _whole(least, most=2**53):
    def test(value):
        return is_number(value) and least <= value <= most and value == int(value)

    return test


def _listed(test):
    return lambda value: (
        isinstance(value, list | tuple) and all(test(entry) for entry in value)
    )


def _by_layer(value):
    """Numbers of layers, which JSON writes as strings, to dicts."""
    return isinstance(value, Mapping) and all(
        shown(index).strip("'").isdecimal() and isinstance(changes, Mapping)
        for index, changes in value.items()
    )


def _blocks(value):
    """One dict per layer, which may hold a dict about its attention."""
    return isinstance(value, list | tuple) and all(
        isinstance(block, Mapping)
        and isinstance(block.get("attention"), Mapping | None)
        for block in value
    )


def _base(value):
    """One base, or one per layer; whether the code takes a list, it says itself."""
    return is_number(value) or _listed(is_number)(value)


# More layers, or channels of a head, than any model has; each takes time and memory.
MOST = 2**16
# More frequencies than all layers of any model have.
MOST_FREQUENCIES = 2**20

_KINDS = (
    (
        "a positive whole number",
        _whole(1),
        """
        hidden_size num_attention_heads qk_nope_head_dim swa_qk_nope_head_dim
        embed_dim projection_dim attention_projection_size
        speech_encoder_attention_heads memory_attention_hidden_size
        memory_attention_downsample_rate memory_attention_num_attention_heads
        max_position_embeddings original_max_position_embeddings seq_length
        sliding_window_pattern
        prefix_dense_sliding_window_pattern global_attn_every_n_layers
        full_attention_interval layer_group_size no_rope_layer_interval
    """,
    ),
    (
        f"a positive whole number, at most {MOST}",
        _whole(1, MOST),
        """
        num_hidden_layers num_layers num_attention_layers memory_attention_num_layers
        head_dim global_head_dim swa_head_dim qk_rope_head_dim swa_qk_rope_head_dim
        rotary_dim kv_channels
    """,
    ),
    ("a whole number", _whole(0), "first_k_dense_replace num_nextn_predict_layers"),
    (
        "a list of whole numbers",
        _listed(_whole(0)),
        """
        no_rope_layers full_attn_idxs attn_layer_indices cross_attention_layers
        rope_scaling_layers compress_ratios mrope_section hybrid_layer_pattern
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
    ("a list of dicts, whose attention is a dict", _blocks, "block_configs"),
    (
        "true or false",
        lambda value: isinstance(value, bool),
        """
        rope_interleave rope_interleaved mrope_interleaved interleaved truncate alibi
        use_sliding_window use_dsa use_mem_rope use_rotary_embedding use_long_context
        use_mla use_dynamic_ntk
    """,
    ),
    (
        "a name",
        lambda value: isinstance(value, str),
        "rope_type type position_embedding_type position_embeddings_type",
    ),
)
KINDS = {key: (words, test) for words, test, keys in _KINDS for key in keys.split()}
