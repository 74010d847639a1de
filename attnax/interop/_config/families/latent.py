"""Models with latent attention: the rotary part of a head is a width of its own."""

from .. import layers, widths
from ..family import RopeFamily
from ..methods import COMMON_METHODS
from ..schemas.checks import FRACTION, check_same, without
from ..schemas.flat import flat
from ..schemas.given import given_parameters


def of_the_rotary_part(context):
    """`qk_rope_head_dim`, the part of a latent head that rotates."""
    return context.keys.integer("qk_rope_head_dim")


def of_the_rotary_part_alone(context):
    """`qk_rope_head_dim`, which the code writes to `head_dim`."""
    return widths.same_as_head_dim(context, of_the_rotary_part(context))


def layout(context):
    """The layout that `rope_interleave` switches on."""
    interleaved = context.keys.get("rope_interleave", True)
    return "interleaved_to_half" if interleaved else "half"


def mistral4(context):
    """Parameters of Mistral 4, whose fraction is that of the rotary part of a head."""
    keys = context.keys
    rotary = keys.integer("qk_rope_head_dim")
    whole = rotary + keys.integer("qk_nope_head_dim")
    check_same(context, "head_dim", keys.given("head_dim"), whole)
    given, _ = given_parameters(context)
    for said in (keys.given(FRACTION), (given or {}).get(FRACTION)):
        check_same(context, FRACTION, said, rotary / whole)
    params = flat(context, fraction=None)[None]
    return {None: context.params(without(params.values, FRACTION), params.where)}


# DeepSeek-VL2-tiny and DeepSeek-OCR: Llama's attention in the decoder of DeepSeek-V2.
_LLAMA_IN_DEEPSEEK = RopeFamily(
    head_dim=widths.of_a_share, elsewhere=("qk_rope_head_dim",)
)


def without_latents(keys):
    """Llama's rules for a DeepSeek-V2 without latent attention."""
    return _LLAMA_IN_DEEPSEEK if keys.get("use_mla", True) is False else None


NOT_PROPORTIONAL = tuple(name for name in COMMON_METHODS if name != "proportional")
LATENT = {"rotary_start": "trailing", "head_dim": of_the_rotary_part}
_TO_HALF = {**LATENT, "layout": "interleaved_to_half"}

ROWS = (
    (
        "axk2 deepseek_v32 glm_moe_dsa",
        RopeFamily(**_TO_HALF, layer_types=layers.all_of("indexed_attention")),
    ),
    (
        "bailing_hybrid",
        RopeFamily(
            **_TO_HALF,
            layer_types=layers.every(6, "layer_group_size", other="linear_attention"),
        ),
    ),
    (
        "longcat_flash",
        RopeFamily(
            layout="interleaved_to_half",
            rotary_start="trailing",
            head_dim=of_the_rotary_part_alone,
            layer_count=("num_layers", 2),
        ),
    ),
    (
        "hy_v4",
        RopeFamily(**LATENT, layer_types=layers.all_of("indexed_attention")),
    ),
    ("minicpm3", RopeFamily(**LATENT)),
    (
        "deepseek_v2",
        RopeFamily(**LATENT, layout="interleaved", variant=without_latents),
    ),
    (
        "axk1 deepseek_v3 glm4_moe_lite youtu",
        RopeFamily(
            layout=layout, rotary_start="trailing", head_dim=of_the_rotary_part_alone
        ),
    ),
    (
        "mistral4",
        RopeFamily(**LATENT, layout=layout, types=NOT_PROPORTIONAL, schema=mistral4),
    ),
    (
        "mistral_large4_text",
        RopeFamily(
            **_TO_HALF,
            layer_types=layers.all_of("indexed_attention"),
            rotates=layers.by_flags,
        ),
    ),
)
