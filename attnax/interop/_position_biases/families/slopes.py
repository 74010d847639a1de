"""Models with ALiBi: BLOOM, MPT and Falcon."""

from ....functional import AlibiBias
from ..._config.tracked_keys import TrackedKeys
from ..._config.wrong_keys import instead, nearest
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import uniform


def _head_width(keys):
    """The width of a head; the old name `n_embed`, if it is there, counts alone."""
    width = "hidden_size" if keys.get("n_embed") is None else "n_embed"
    return head_width(keys, width=width)


def _bloom(keys):
    heads = keys.integer("num_attention_heads")
    bias = AlibiBias(heads, form="key")
    scale = _head_width(keys) ** -0.5
    return uniform(bias, None, scale, keys.integer("num_hidden_layers"))


# Switches of MPT's attention that the code of transformers ignores, and what it does.
_MPT_FIXED = {"alibi": True, "prefix_lm": False, "qk_ln": False, "qk_gn": False}
_MPT_KEYS = (*_MPT_FIXED, "alibi_bias_max", "softmax_scale")


def _mpt(keys):
    """Slopes with the exponent of the config, which transformers does not pass on."""
    heads = keys.integer("num_attention_heads")
    inner = keys.get("attn_config", {})
    inner = TrackedKeys(inner, "attn_config", {}, (), keys.error, keys.kinds)
    for key in inner.values:
        meant = None if key in _MPT_KEYS else nearest(str(key).lower(), _MPT_KEYS)
        if meant:
            raise keys.error(f"{inner.said(key)}; {instead((meant,))}")
    for key, needed in _MPT_FIXED.items():
        if inner.get(key, needed) is not needed:
            raise keys.error(
                f"{inner.said(key)}, which the code of transformers ignores; the "
                f"biases are known for {needed} alone"
            )
    bias = AlibiBias(heads, form="key", max_bias=inner.number("alibi_bias_max", 8))
    scale = inner.get("softmax_scale")
    scale = head_width(keys) ** -0.5 if scale is None else inner.number("softmax_scale")
    return uniform(bias, None, scale, keys.integer("num_hidden_layers"))


def _falcon(keys):
    """Scores and biases are divided together."""
    if not keys.get("alibi", False):
        return None
    heads = keys.integer("num_attention_heads")
    scale = _head_width(keys) ** -0.5
    bias = AlibiBias(heads, form="key", factor=scale, in_bfloat16=True)
    return uniform(bias, None, scale, keys.integer("num_hidden_layers"))


ROWS = (
    ("bloom", BiasFamily({"decoder": _bloom}, "ALiBi")),
    (
        "mpt",
        BiasFamily(
            {"decoder": _mpt},
            "ALiBi",
            note="its code passes `alibi_bias_max` of the config to nobody",
        ),
    ),
    (
        "falcon",
        BiasFamily(
            {"decoder": _falcon},
            "ALiBi",
            note="its eager attention adds the bias twice",
        ),
    ),
)
