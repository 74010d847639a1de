"""Every key of a config that a rule of position biases reads, with its kind."""

from ..._checks import is_number
from .._config.values import (
    ANY,
    BOUNDED,
    COUNT,
    COUNTS,
    FLAG,
    MAPPING,
    MOST,
    NAME,
    NAMES,
    Kind,
)
from .._model_types import by_name


def _is_sides(value):
    """Whether a value is one size or a list of them."""
    return COUNT.test(value) or COUNTS.test(value)


def _is_lists(value):
    return isinstance(value, list | tuple) and all(
        isinstance(entry, list | tuple) for entry in value
    )


def _is_dicts(value):
    return isinstance(value, list | tuple) and all(map(MAPPING.test, value))


def _is_depths(value):
    """Whether a list has numbers of layers, of which no model has more than `MOST`."""
    return COUNTS.test(value) and sum(value) <= MOST


DEPTHS = Kind(f"a list of whole numbers, at most {MOST} in all", _is_depths)
SIDES = Kind("a whole number or a list of whole numbers", _is_sides)
LISTS = Kind("a list of lists", _is_lists)
DICTS = Kind("a list of dicts", _is_dicts)
NUMBER = Kind("a number", is_number)
WHOLE = Kind(
    "a whole number, or a negative one",
    lambda value: isinstance(value, int) and not isinstance(value, bool),
)
TYPES = Kind(
    "a name or a list of names",
    lambda value: (
        NAME.test(value)
        or (isinstance(value, list | tuple) and all(map(NAME.test, value)))
    ),
)

# Keys that say something about position biases: one that is not read is an error.
_BIASES = (
    (
        """
        relative_attention_num_buckets relative_attention_max_distance
        position_bias_num_buckets position_bias_max_distance max_bucket_distance
        relative_max_distance bias_max_distance rel_pos_bins max_rel_pos
        rel_2d_pos_bins max_rel_2d_pos relation_bias_embed_dim
        left_max_position_embeddings right_max_position_embeddings
        encoder_max_relative_position max_pos_emb rel_extent d_rel
        """,
        BOUNDED,
    ),
    (
        """
        alibi bias_symmetric has_relative_attention_bias has_spatial_attention_bias
        use_relative_position_bias use_shared_relative_position_bias use_rel_pos
        use_relative_position_embeddings relative_attention share_att_key
        """,
        FLAG,
    ),
    (
        """
        relation_bias_theta relation_bias_scale rel_l2_clip_threshold
        log_scaling_alpha log_scaling_n_floor
        """,
        NUMBER,
    ),
    ("relative_bias_args", DICTS),
    ("max_relative_positions position_buckets", WHOLE),
    ("pos_att_type", TYPES),
    ("norm_rel_ebd encoder_attention_type position_embedding_type", NAME),
    ("pretrained_window_sizes", COUNTS),
)
# Keys about the layers, or whose names other models give to other things.
_STRUCTURE = (
    (
        """
        num_layers num_decoder_layers num_hidden_layers encoder_layers decoder_layers
        n_layer n_layers num_blocks speech_encoder_layers conf_num_hidden_layers
        """,
        BOUNDED,
    ),
    (
        """
        num_heads num_attention_heads n_head n_heads hidden_size n_embed d_model
        d_kv d_head dim_head head_dim swa_head_dim hidden_dim embed_dim
        patch_embeds_hidden_size ngram segment_types num_buckets
        num_decoder_attention_heads encoder_attention_heads swa_num_attention_heads
        encoder_num_attention_heads decoder_num_attention_heads
        speech_encoder_attention_heads attention_head_size max_position_embeddings
        context_size image_size patch_size window_size sliding_window_size
        conf_num_attention_heads conf_attention_chunk_size
        conf_attention_context_left conf_attention_context_right attention_chunk_size
        attention_context_left attention_context_right
        """,
        SIDES,
    ),
    (
        """
        global_attn_indexes window_block_indices hidden_sizes key_dim mlp_ratio
        local_layer_ids
        """,
        COUNTS,
    ),
    ("depths block_sizes block_repeats", DEPTHS),
    ("layer_types", NAMES),
    ("position_embeddings_type attn_type attention_type", NAME),
    ("separate_cls talking_head bi_data", FLAG),
    ("clamp_len", WHOLE),
    ("layer_norm_eps", NUMBER),
    ("down_ops", LISTS),
    ("attn_config", MAPPING),
)

_ROWS = (*_BIASES, *_STRUCTURE)
_KINDS = by_name(_ROWS)
# Keys whose value says something about position biases.
ABOUT = frozenset(by_name(_BIASES))
KEYS = frozenset(_KINDS)
# Values of `position_embedding_type` that are no position biases.
_OTHER_POSITIONS = frozenset(
    "absolute learned learned_absolute none nope rope rotary sine sinusoidal".split()
)


def says_something(key, value):
    """Whether a value of a key may say that there are position biases."""
    if key == "position_embedding_type":
        return not (value is None or value in tuple(_OTHER_POSITIONS))
    return key in ABOUT and value is not None


def kind_of(key):
    """The kind of the values of a key."""
    return _KINDS.get(key, ANY)
