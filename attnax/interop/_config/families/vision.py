"""Models of pictures and videos, whose positions are (row, column).

The first half of a head turns by the row, unless `axis_order` puts the column first.
"""

from functools import partial

from .... import functional as F
from .. import layers, widths
from ..family import RopeFamily
from ..schemas.flat import flat

# Ropes: rules from the width of a head and the base.


def halves(**settings):
    """A rule that gives half of the width to each of two axes."""
    return partial(_halves, **settings)


def _halves(context, width, base, **settings):
    return F.axial_rope((width // 2,) * 2, base, **settings)


def thirds(context, width, base):
    """A third for time, row and column, each rounded down to pairs."""
    return F.axial_rope((2 * (width // 3 // 2),) * 3, base)


def whole_model(context, width, base):
    """Rows and columns in turn over the whole width of the model, before the heads."""
    return F.axial_rope((width, width), base, alternate=True, layout="interleaved")


# Widths.


def of_memory_attention(context):
    """Width of a head in the attention to memories of video segmentation."""
    names = ("hidden_size", "downsample_rate", "num_attention_heads")
    hidden_size, rate, heads = (
        context.keys.integer(f"memory_attention_{name}") for name in names
    )
    return hidden_size // (rate * heads)


# Layer types.


def lfm3_vl(keys, count):
    """Two convolutions, then attention and convolutions in turn."""
    return ["conv" if i < 2 or i % 2 else "full_attention" for i in range(count)]


ROWS = (
    (
        """
        cohere_compass_vision dots3_note_vision_encoder ernie4_5_vl_moe_vision
        exaone4_5_vision glm4v_vision glm4v_moe_vision glm5_next_vision glm_ocr_vision
        mlcd_vision_model paddleocr_vl_vision qwen2_5_omni_vision_encoder
        qwen2_5_vl_vision qwen3_5_vision qwen3_5_moe_vision
        qwen3_omni_moe_vision_encoder qwen3_vl_vision qwen3_vl_moe_vision
        qwen4_exp_vision video_llama_3_vision
        """,
        RopeFamily(axial=halves()),
    ),
    ("lfm3_vl_vision", RopeFamily(axial=halves(), layer_types=lfm3_vl)),
    (
        "muse_glimmer_vision muse_spark_vision",
        RopeFamily(
            axial=halves(axis_order=(1, 0)),
            layer_types=layers.last_is_full(layers.every(4, other="window_attention")),
        ),
    ),
    (
        # `hidden_size` is the width of the text.
        "qwen2_vl_vision",
        RopeFamily(axial=halves(), head_dim=widths.share("embed_dim")),
    ),
    ("gemma4_vision", RopeFamily(axial=halves(axis_order=(1, 0), num_blocks=2))),
    ("step3p5_vision", RopeFamily(axial=halves(axis_order=(1, 0)))),
    ("kimi_k25_vision", RopeFamily(axial=halves(axis_order=(1, 0), alternate=True))),
    (
        "sam3_vit_model llama4_vision_model inkling2_vision",
        RopeFamily(axial=halves(axis_order=(1, 0), layout="interleaved")),
    ),
    ("pixtral", RopeFamily(axial=halves(shared=True))),
    ("minimax_m3_vl_vision", RopeFamily(axial=thirds)),
    (
        "edgetam_video sam2_video sam3_tracker_video",
        RopeFamily(
            head_dim=of_memory_attention,
            axial=halves(axis_order=(1, 0), layout="interleaved"),
            schema=partial(flat, theta="memory_attention_rope_theta", fraction=None),
            layer_count=("memory_attention_num_layers", 1),
        ),
    ),
    (
        "efficientloftr",
        RopeFamily(
            reads_fraction=True,
            axial=whole_model,
            types=("default",),
            layer_count=("num_attention_layers", 1),
        ),
    ),
)
