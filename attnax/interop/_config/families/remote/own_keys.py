"""Remote models whose configs hold keys of their own, or need rules of their own."""

from collections.abc import Mapping

from ... import widths
from ...family import RopeFamily
from ...schemas.checks import check_same
from ...schemas.flat import base_10000, flat, flat_with_rotary_dim
from .record import BASE, HUB, SCALED, Remote

# Parameters.


def baichuan(context):
    """Parameters of Baichuan with 7B parameters; the model with 13B has ALiBi."""
    keys = context.keys
    if keys.given("max_position_embeddings") is None or keys.get("hidden_size") == 5120:
        raise context.error(
            "model_type='baichuan' without max_position_embeddings, or with "
            "hidden_size=5120, is Baichuan with 13B parameters, which has ALiBi and no "
            "rotary positions"
        )
    return base_10000(context)


def internlm(context):
    """Parameters of InternLM, which stand in `rotary` under names of their own."""
    rotary = context.keys.get("rotary", {"base": 10_000, "type": "dynamic"})
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


def nemotron_nas(context):
    """Parameters of Nemotron NAS, if it has rotary positions."""
    _check_rotates(context)
    return flat(context)


def new(context):
    """Parameters of GTE 1.5, if it has rotary positions."""
    _check_rotates(context)
    return flat(context, fraction=None)


def _check_rotates(context):
    """Raises if `position_embedding_type` names other positions than rotary ones."""
    said = context.keys.get("position_embedding_type", "rope")
    check_same(context, "position_embedding_type", said, "rope")


def xverse(context):
    """Parameters of XVERSE up to 8192 tokens; longer models may have another base."""
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
    """Parameters of Yuan 2.0, which has its base in the code; later ones have keys."""
    later = ("rotary_base", "rotary_percent", "rope_theta", "rope_scaling", "use_yarn")
    for key in later:
        if context.keys.given(key):
            raise context.error(
                f"the config holds {key}={context.keys.given(key)!r}, which the code "
                "of Yuan 2.0 does not read; how the code of later releases reads it is "
                "not known"
            )
    return base_10000(context)


# Widths.


def of_the_projection(context):
    """Width of a head in Yuan: `attention_projection_size`, or the hidden size."""
    keys = context.keys
    name = "attention_projection_size"
    return widths.share(name if keys.get(name) else "hidden_size")(context)


# Layer types.


def blocks(keys, count):
    """Layers of Nemotron NAS, of which `block_configs` takes attention away."""
    found = keys.get("block_configs") or [{}] * count
    attention = [block.get("attention") or {} for block in found]
    off = [each.get("no_op") or each.get("replace_with_linear") for each in attention]
    return ["linear_attention" if each else "full_attention" for each in off]


ROWS = (
    (
        "baichuan",
        Remote(
            RopeFamily(schema=baichuan, head_dim=widths.of_a_share, types=("default",)),
            f"{HUB}/baichuan-inc/Baichuan2-7B-Base, modeling_baichuan.py",
        ),
    ),
    (
        "internlm",
        Remote(
            RopeFamily(
                head_dim=widths.of_a_share,
                types=SCALED,
                schema=internlm,
                elsewhere=("rotary",),
            ),
            f"{HUB}/internlm/internlm-7b, modeling_internlm.py",
            {"max_position_embeddings": 2048},
        ),
    ),
    (
        "minimax_m3",
        Remote(
            RopeFamily(reads_fraction=True, schema=flat_with_rotary_dim),
            "transformers 5.23, modeling_minimax_m3_vl.py",
        ),
    ),
    (
        "nemotron-nas",
        Remote(
            RopeFamily(
                head_dim=widths.of_a_share, schema=nemotron_nas, layer_types=blocks
            ),
            f"{HUB}/nvidia/Llama-3_3-Nemotron-Super-49B-v1, modeling_decilm.py",
            BASE | {"max_position_embeddings": 2048},
        ),
    ),
    (
        "new",
        Remote(
            RopeFamily(
                schema=new, head_dim=widths.of_a_share, types=("default", "ntk")
            ),
            f"{HUB}/Alibaba-NLP/new-impl, modeling.py",
        ),
    ),
    (
        "xverse",
        Remote(
            RopeFamily(schema=xverse, head_dim=widths.of_a_share, types=("default",)),
            f"{HUB}/xverse/XVERSE-7B, modeling_xverse.py",
            BASE,
        ),
    ),
    (
        "yuan",
        Remote(
            RopeFamily(
                head_dim=of_the_projection,
                schema=yuan,
                types=("default",),
                elsewhere=("rotary_base", "rotary_percent"),
            ),
            f"{HUB}/IEITYuan/Yuan2-2B-hf, yuan_hf_model.py",
        ),
    ),
)
