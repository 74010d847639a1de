"""Language models of text with pictures, whose positions have three axes."""

from .... import functional as F
from .. import layers
from ..family import RopeFamily
from ..schemas.by_layer_type import by_layer_type


def _chunked(sections, pairs):
    return F.chunked_axes(sections)


def _alternating(sections, pairs):
    return F.alternating_axes(sections)


_QWEN2 = (_chunked, (16, 24, 24))
_QWEN3 = (F.strided_axes, (24, 20, 20))
_QWEN3_5 = (F.strided_axes, (11, 11, 10))
_GLM = (_chunked, (8, 12, 12))

ROWS = (
    (
        "qwen2_vl_text qwen2_5_vl_text",
        RopeFamily(axes=_QWEN2, renames={"mrope": "default"}),
    ),
    ("qwen2_5_omni_text qwen2_5_omni_talker", RopeFamily(axes=_QWEN2)),
    ("paddleocr_vl_text", RopeFamily(axes=_QWEN2, says={"rope_is_neox_style": True})),
    (
        """
        cosmos3_edge_text qwen3_omni_moe_text qwen3_omni_moe_talker_text qwen3_vl_text
        qwen3_vl_moe_text
        """,
        RopeFamily(axes=_QWEN3),
    ),
    ("cohere_compass_text", RopeFamily(axes=_QWEN3, schema=by_layer_type)),
    (
        "qwen3_5_text qwen3_5_moe_text",
        RopeFamily(
            reads_fraction=True,
            axes=_QWEN3_5,
            layer_types=layers.every(
                4, "full_attention_interval", other="linear_attention"
            ),
        ),
    ),
    (
        "qwen4_exp_text",
        RopeFamily(
            reads_fraction=True,
            axes=_QWEN3_5,
            layer_types=layers.every(
                4,
                "full_attention_interval",
                special="indexed_attention",
                other="linear_attention",
            ),
        ),
    ),
    ("glm4v_moe_text glm_image_text", RopeFamily(reads_fraction=True, axes=_GLM)),
    (
        "glm4v_text glm_ocr_text",
        RopeFamily(layout="interleaved", reads_fraction=True, axes=_GLM),
    ),
    (
        "ernie4_5_vl_moe_text",
        RopeFamily(
            layout="interleaved",
            axes=(_alternating, (22, 22, 20)),
            types=("default",),
        ),
    ),
)
