"""Remote models whose code scales frequencies in its own way."""

from ..... import functional as F
from ... import methods, widths
from ...family import RopeFamily
from ...schemas.checks import FRACTION, check_same
from ...schemas.flat import flat
from .record import BASE, GPT2_NAMES, HUB, SCALED, Remote

# Parameters.


def hunyuan(context):
    """Parameters of Hunyuan-A13B; what its further switches do is not known."""
    keys = context.keys
    off = {
        "use_mla": False,
        "use_rotary_pos_emb": True,
        "position_embedding_xdrope": False,
    }
    for key, value in off.items():
        check_same(context, key, keys.given(key), value)
    return flat(context, fraction=None)


def phi3small(context):
    """Parameters of Phi-3-small, with the base from `rope_embedding_base`."""
    scale = context.keys.number("rope_position_scale", 1.0)
    # Ports of the code differ in what another scale does.
    check_same(context, "rope_position_scale", scale, 1.0)
    return flat(context, theta="rope_embedding_base", fraction=None)


def qwen(context):
    """Parameters of the first Qwen, plain or for its own dynamic NTK."""
    keys = context.keys
    values = {
        "rope_theta": keys.number("rotary_emb_base"),
        FRACTION: keys.number("rotary_pct"),
    }
    if keys.get("use_dynamic_ntk"):
        values["rope_type"] = "dynamic"
    return {None: context.params(values, "the config")}


# Methods; `None` where the common ones apply.


def minicpm(wanted):
    """Checks the factor, which the code of MiniCPM computes from the lengths."""
    context, params = wanted.context, wanted.params
    if wanted.kind == "longrope" and params.get("factor") is not None:
        served = context.keys.integer("max_position_embeddings")
        original = params.integer("original_max_position_embeddings")
        check_same(context, "factor", params.get("factor"), served / original)
    return None


def qwen_ntk(wanted):
    """NTK frequencies whose factor steps with the length, as in the first Qwen.

    The factor is `2 ** ceil(log2(seq_len / seq_length) + 1) - 1`, and at least 1.
    """
    if wanted.kind != "dynamic":
        return None
    trained = wanted.context.keys.integer("seq_length")
    said = "the config holds use_dynamic_ntk=True"
    seq_len = methods.required_length(wanted.params, said, wanted.seq_len, trained)
    # The least power of two that is not below twice the ratio, in whole numbers.
    alpha = max((1 << (-(-2 * seq_len // trained) - 1).bit_length()) - 1, 1)
    return F.ntk_inv_freq(wanted.rotary_dim, wanted.base, factor=float(alpha)), 1.0


ROWS = (
    (
        "hunyuan",
        Remote(
            RopeFamily(
                schema=hunyuan,
                types=SCALED,
                method=methods.ntk_with_alpha,
                elsewhere=("use_mla",),
            ),
            f"{HUB}/tencent/Hunyuan-A13B-Instruct, modeling_hunyuan.py",
            BASE | {"max_position_embeddings": 2048},
            {"attention_head_dim": "head_dim"},
        ),
    ),
    (
        "minicpm",
        Remote(
            RopeFamily(
                head_dim=widths.of_a_share,
                types=(*SCALED, "longrope"),
                method=minicpm,
            ),
            f"{HUB}/openbmb/MiniCPM-2B-sft-bf16 and {HUB}/openbmb/MiniCPM4-8B, "
            "modeling_minicpm.py",
            BASE | {"max_position_embeddings": 2048},
        ),
    ),
    (
        "phi3small",
        Remote(
            RopeFamily(
                types=("default", "longrope"),
                renames={"su": "longrope"},
                head_dim=widths.of_a_share,
                schema=phi3small,
                method=methods.longrope_with_two_factors,
                elsewhere=("rope_embedding_base", "rope_position_scale"),
            ),
            f"{HUB}/microsoft/Phi-3-small-128k-instruct, modeling_phi3_small.py",
            {"rope_embedding_base": 1_000_000.0, "max_position_embeddings": 8192},
        ),
    ),
    (
        "qwen",
        Remote(
            RopeFamily(
                head_dim=widths.kv_channels,
                reads_fraction=True,
                schema=qwen,
                types=("default", "dynamic"),
                method=qwen_ntk,
                elsewhere=("use_dynamic_ntk",),
            ),
            f"{HUB}/Qwen/Qwen-7B, modeling_qwen.py",
            {
                "hidden_size": 4096,
                "kv_channels": 128,
                "num_attention_heads": 32,
                "rotary_emb_base": 10_000.0,
                "rotary_pct": 1.0,
                "use_dynamic_ntk": True,
            },
            GPT2_NAMES,
        ),
    ),
)
