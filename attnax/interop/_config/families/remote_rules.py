"""Rules of models whose code is not in transformers.

Widths, then schemas as in `schemas`, then layers, then methods of scaling.
"""

from collections.abc import Mapping

from .... import functional as F
from ..schemas import check_same, flat
from .schemas import base_10000

# Widths.


def kv_channels(context):
    """`kv_channels`, or what hidden size and heads make."""
    keys = context.keys
    if keys.get("kv_channels") is not None:
        return keys.integer(context, "kv_channels")
    width = keys.integer(context, "hidden_size")
    return width // keys.integer(context, "num_attention_heads")


def half_of_kv_channels(context):
    """The first half of a head rotates (ChatGLM2, ChatGLM3 and GLM-4)."""
    return kv_channels(context) // 2


def of_the_projection(context):
    """The width of all heads over their number; `hidden_size` if none is said."""
    keys = context.keys
    name = "attention_projection_size"
    width = keys.integer(context, name if keys.get(name) else "hidden_size")
    return width // keys.integer(context, "num_attention_heads")


# Schemas.


def baichuan(context):
    """Baichuan with 7B parameters; that with 13B has a bias instead of positions."""
    keys = context.keys
    if keys.given("max_position_embeddings") is None or keys.get("hidden_size") == 5120:
        raise context.error(
            "model_type='baichuan' without max_position_embeddings, or with "
            "hidden_size=5120, is Baichuan with 13B parameters, which has ALiBi and no "
            "rotary positions"
        )
    return base_10000(context)


_GLM4_VOCABULARY = 151_552


def is_first_chatglm(keys):
    """Whether this is ChatGLM-6B, whose heads turn by two positions."""
    return bool(keys.get("position_encoding_2d"))


def chatglm(context):
    """The base is 10000 times `rope_ratio`, from ChatGLM3 on."""
    keys = context.keys
    if keys.get("original_rope", True) is not True:
        raise context.error(
            "original_rope=False is not read by any released code of 'chatglm'; "
            "remove it"
        )
    ratio = keys.number(context, "rope_ratio", 1.0)
    name = str(keys.get("_name_or_path", "")).lower().replace("-", "")
    is_later = keys.get("padded_vocab_size") == _GLM4_VOCABULARY or "glm3" in name
    if ratio != 1.0 and not is_later:
        # https://github.com/ztxz16/fastllm/issues/374
        raise context.error(
            f"the config holds rope_ratio={ratio}, by which ChatGLM2-32k divides "
            "positions and ChatGLM3 multiplies the base, and nothing here tells which "
            "it is: write _name_or_path='chatglm3' for the latter, or remove "
            "rope_ratio and divide the frequencies of the rope by it for the former"
        )
    return {None: context.params({"rope_theta": 10_000.0 * ratio}, "rope_ratio")}


def hunyuan(context):
    """Plain or scaled halves; what its config may switch on besides is not known."""
    keys = context.keys
    off = {
        "use_mla": False,
        "use_rotary_pos_emb": True,
        "position_embedding_xdrope": False,
    }
    for key, value in off.items():
        check_same(context, key, keys.given(key), value)
    return flat(context, fraction=None)


def internlm(context):
    """`rotary` holds the base, and the type and its factor under their own names."""
    keys = context.keys
    rotary = keys.get("rotary", {"base": 10_000, "type": "dynamic"})
    kinds = {"origin": "default", "dynamic": "dynamic"}
    if not isinstance(rotary, Mapping) or rotary.get("type") not in list(kinds):
        raise context.error(
            f"rotary={rotary!r} must be a dict with a type of {list(kinds)}"
        )
    known = {"base", "type", "scaling_factor"}
    if unknown := sorted(map(str, rotary.keys() - known)):
        raise context.error(f"rotary holds {unknown}; known are {sorted(known)}")
    values = {"rope_type": kinds[rotary["type"]], "rope_theta": rotary.get("base")}
    if values["rope_type"] == "dynamic":
        values["factor"] = rotary.get("scaling_factor", 1.0)
    return {None: context.params(values, "rotary")}


def minimax_m3(context):
    """`rotary_dim` repeats the fraction, or stands for it."""
    keys = context.keys
    more = {}
    if keys.given("rotary_dim") is not None:
        width = context.family.head_dim(context)
        more = {"partial_rotary_factor": keys.given("rotary_dim") / width}
        said = keys.given("partial_rotary_factor")
        check_same(
            context, "partial_rotary_factor", said, more["partial_rotary_factor"]
        )
    return flat(context, more=more)


def nemotron_nas(context):
    """Llama's, unless `position_embedding_type` says something else."""
    said = context.keys.get("position_embedding_type", "rope")
    check_same(context, "position_embedding_type", said, "rope")
    return flat(context)


def phi3small(context):
    """The base is `rope_embedding_base`; ports differ in what the scale does."""
    scale = context.keys.number(context, "rope_position_scale", 1.0)
    check_same(context, "rope_position_scale", scale, 1.0)
    return flat(context, theta="rope_embedding_base", fraction=None)


def qwen(context):
    """Plain, or Qwen's own dynamic NTK, which counts from `seq_length`."""
    keys = context.keys
    values = {
        "rope_theta": keys.number(context, "rotary_emb_base"),
        "partial_rotary_factor": keys.number(context, "rotary_pct"),
    }
    if keys.get("use_dynamic_ntk"):
        values["rope_type"] = "dynamic"
    return {None: context.params(values, "the config")}


def xverse(context):
    """The base is that of the code, which has others for lengths beyond 8192."""
    keys = context.keys
    length = keys.get("max_position_embeddings", 0)
    if keys.given("rope_theta") is None and length > 8192:
        raise context.error(
            f"the config holds max_position_embeddings={length} and no rope_theta: "
            "the code of the longer XVERSE may have a base and a scaling of its own, "
            "which no config holds"
        )
    return flat(context, fraction=None)


def yuan(context):
    """The base is written in the code of Yuan 2.0; later ones have keys for it."""
    later = ("rotary_base", "rotary_percent", "rope_theta", "rope_scaling", "use_yarn")
    for key in later:
        if context.keys.given(key):
            raise context.error(
                f"the config holds {key}={context.keys.given(key)!r}, which the code "
                "of Yuan 2.0 does not read; how that of later releases does is not "
                "known"
            )
    return base_10000(context)


# Layers.


def blocks(keys, count):
    """`block_configs` says which layers have no attention."""
    found = keys.get("block_configs") or [{}] * count
    attention = [block.get("attention") or {} for block in found]
    off = [each.get("no_op") or each.get("replace_with_linear") for each in attention]
    return ["linear_attention" if each else "full_attention" for each in off]


# Methods of scaling: `None` is to go on with the common ones.


def minicpm(context, params, kind, rotary_dim, seq_len):
    """LongRoPE with the factor of the lengths, whatever is written."""
    if kind == "longrope" and params.get("factor") is not None:
        served = context.keys.integer(context, "max_position_embeddings")
        original = params.integer(context, "original_max_position_embeddings")
        check_same(context, "factor", params.get("factor"), served / original)
    return None


def qwen_ntk(context, params, kind, rotary_dim, seq_len):
    """Base times alpha, one less than a power of two, by the length in `seq_length`s.

    Alpha is `2 ** ceil(log2(seq_len / seq_length) + 1) - 1`, and 1 at least.
    """
    if kind != "dynamic":
        return None
    trained = context.keys.integer(context, "seq_length")
    if seq_len is None:
        raise context.error(
            "the config holds use_dynamic_ntk=True, whose frequencies depend on the "
            f"length: pass seq_len, up to {trained} or beyond; keys that were rotated "
            "for another length do not fit"
        )
    # The least power of two that is not below twice the ratio, in whole numbers.
    alpha = max((1 << (-(-2 * seq_len // trained) - 1).bit_length()) - 1, 1)
    base = params.number(context, "rope_theta")
    return F.ntk_inv_freq(rotary_dim, base, factor=float(alpha)), 1.0
