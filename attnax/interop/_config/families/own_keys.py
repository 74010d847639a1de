"""Models whose layers are all alike, with keys or rope types of their own."""

from functools import partial

from .. import layers, methods, widths
from ..family import RopeFamily
from ..schemas.flat import base_10000, flat, flat_with_rotary_dim


def dbrx(context):
    """Parameters of DBRX; no code reads the base that `attn_config` repeats."""
    params = flat(context)
    inner = (context.keys.given("attn_config") or {}).get("rope_theta")
    theta = params[None].number("rope_theta")
    if inner is not None and inner != theta:
        raise context.error(
            f"attn_config holds rope_theta={inner}, but the code of 'dbrx' reads the "
            f"one at the top level, which is {theta}; write the base there"
        )
    return params


def of_clvp(context):
    """Half of the projection's width per head, but at least 32."""
    keys = context.keys
    width = keys.integer("projection_dim")
    return max(width // (2 * keys.integer("num_attention_heads")), 32)


_WAV2VEC2 = {
    "schema": partial(flat, theta="rotary_embedding_base", fraction=None),
    "types": ("default",),
    "rotates": layers.where_on("position_embeddings_type", "rotary"),
}

ROWS = (
    (
        "gpt_neox gpt_neox_japanese",
        RopeFamily(
            reads_fraction=True,
            schema=partial(flat, theta="rotary_emb_base", fraction="rotary_pct"),
        ),
    ),
    ("minimax_m2", RopeFamily(reads_fraction=True, schema=flat_with_rotary_dim)),
    ("dbrx", RopeFamily(schema=dbrx)),
    (
        "phi3 phi4_multimodal",
        RopeFamily(
            reads_fraction=True,
            types=("default", "longrope"),
            renames={"su": "longrope", "yarn": "longrope"},
        ),
    ),
    (
        "phimoe",
        RopeFamily(
            types=("default", "longrope"),
            method=methods.longrope_with_two_factors,
        ),
    ),
    (
        "hunyuan_v1_dense hunyuan_v1_moe",
        RopeFamily(method=methods.ntk_with_alpha),
    ),
    (
        "gptj codegen",
        RopeFamily(
            layout="interleaved",
            head_dim=widths.of_rotary_dim,
            schema=base_10000,
            types=("default",),
            elsewhere=("rotary",),
        ),
    ),
    (
        "roformer",
        RopeFamily(
            layout="interleaved",
            schema=base_10000,
            types=("default",),
            elsewhere=("rotary_value",),
        ),
    ),
    (
        "esm",
        RopeFamily(
            schema=partial(flat, names=()),
            types=("default",),
            rotates=layers.where_on("position_embedding_type", "rotary"),
        ),
    ),
    ("wav2vec2-bert wav2vec2-conformer", RopeFamily(**_WAV2VEC2)),
    (
        "seamless_m4t",
        RopeFamily(
            **_WAV2VEC2, head_dim=widths.share(heads="speech_encoder_attention_heads")
        ),
    ),
    (
        "clvp_encoder",
        RopeFamily(
            head_dim=of_clvp,
            schema=base_10000,
            types=("default",),
            rotates=layers.where_on("use_rotary_embedding", True),
        ),
    ),
)
