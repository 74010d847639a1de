"""Every key of a config that a rule of position biases reads, with its kind."""

from .._config.values import ANY, BOUNDED, COUNT, COUNTS, FLAG, MAPPING, NAME, Kind
from .._model_types import by_name


def _is_sides(value):
    """Whether a value is one size or a list of them."""
    return COUNT.test(value) or COUNTS.test(value)


def _is_sides_or_texts(value):
    return isinstance(value, list | tuple)


SIDES = Kind("a whole number or a list of whole numbers", _is_sides)
LIST = Kind("a list", _is_sides_or_texts)
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
    ("relation_bias_theta relation_bias_scale rel_l2_clip_threshold", ANY),
    ("log_scaling_alpha log_scaling_n_floor", ANY),
    ("relative_bias_args", LIST),
    ("max_relative_positions position_buckets", WHOLE),
    ("pos_att_type", TYPES),
    ("norm_rel_ebd encoder_attention_type", NAME),
    ("pretrained_window_sizes", SIDES),
)
# Keys about the layers, or whose names other models give to other things.
_STRUCTURE = (
    (
        """
        num_heads num_attention_heads num_layers num_decoder_layers num_hidden_layers
        encoder_layers decoder_layers n_head n_heads n_layer n_layers hidden_size
        d_model d_kv d_head dim_head hidden_dim embed_dim patch_embeds_hidden_size
        """,
        SIDES,
    ),
    ("ngram segment_types num_buckets num_decoder_attention_heads", BOUNDED),
    ("attn_config", MAPPING),
    ("window_size", SIDES),
    ("depths", COUNTS),
)

_ROWS = (*_BIASES, *_STRUCTURE)
_KINDS = by_name(_ROWS)
# Keys whose value says something about position biases.
ABOUT = frozenset(by_name(_BIASES))
KEYS = frozenset(_KINDS)


def kind_of(key):
    """The kind of the values of a key."""
    return _KINDS.get(key, ANY)
