"""Keys of other engines, and keys that codes read in different ways."""

from ..values import BOUNDED, FLAG, SIZE
from .key import Key


def _renamed(key):
    """The name of another engine for a key of Hugging Face."""
    advice = (
        f"if it was written for another engine, Hugging Face calls it {key}; if not, "
        "remove it"
    )
    return Key(stands_for=key, foreign=advice)


_UNCLEAR = (
    ("kv_channels", Key(BOUNDED, unclear=True)),
    ("attention_projection_size", Key(SIZE, unclear=True)),
    (
        "attention_head_dim rotary original_rope position_encoding_2d",
        Key(unclear=True),
    ),
)
_NTK = (
    "engines differ in the formula that it switches on; rope_scaling with rope_type "
    "'dynamic' is that of Hugging Face"
)
_FOREIGN = (
    (
        "rotary_base rope_base rotary_theta rope_freq_base rope_embedding_base",
        _renamed("rope_theta"),
    ),
    (
        "rotary_percentage rotary_percent rope_pct rope_percent rotary_emb_fraction",
        _renamed("partial_rotary_factor"),
    ),
    ("max_trained_positions", _renamed("original_max_position_embeddings")),
    ("xdrope_section", _renamed("mrope_section")),
    (
        "rotary_ndims rotary_emb_dim attn_rotary_emb rope_dim",
        Key(
            foreign="Hugging Face has partial_rotary_factor, which is the channels "
            "that rotate over head_dim"
        ),
    ),
    (
        "rope_ratio",
        Key(
            foreign="some engines multiply the base by it, and some divide positions "
            "by it"
        ),
    ),
    (
        """
        rope_factor rope_scaling_factor rotary_scaling_factor rope_freq_scale
        rope_position_scale
        """,
        Key(
            foreign="Hugging Face scales by rope_scaling, whose rope_type says how",
        ),
    ),
    ("use_dynamic_ntk", Key(FLAG, switch=True, foreign=_NTK)),
    ("dynamic_ntk", Key(switch=True, foreign=_NTK)),
    (
        """
        rope_traditional rotary_interleaved rotary_emb_interleaved is_neox_style
        rope_is_neox_style
        """,
        Key(foreign="the argument layout says how channels are paired; remove it"),
    ),
    ("rotary_emb_scale_base", Key(foreign="it is xPos, see xpos_cos_sin")),
    (
        "use_fope",
        Key(
            switch=True,
            foreign="Fourier position embedding is no rotation by position",
        ),
    ),
)


ROWS = (*_UNCLEAR, *_FOREIGN)
