"""How released models resize their learned grids of positions."""

from typing import Any

from ..._public import public
from .._model_types import family_of

# (method, antialias, align_corners, offset)
_BICUBIC = ("bicubic", False, False, 0.0)
_BICUBIC_ANTIALIASED = ("bicubic", True, False, 0.0)
_BILINEAR = ("bilinear", False, False, 0.0)
_BILINEAR_ANTIALIASED = ("bilinear", True, False, 0.0)
_BILINEAR_CORNERS = ("bilinear", False, True, 0.0)

# Names are those of transformers' folders, except the last six: `dinov2_hub` is the
# original repository's default, `big_vision` its `scipy.ndimage.zoom`.
RESIZE_OPTIONS: dict[str, tuple[str, bool, bool, float]] = {
    **dict.fromkeys(
        (
            "altclip",
            "beit",
            "blip",
            "blip_2",
            "bridgetower",
            "chinese_clip",
            "clip",
            "clipseg",
            "data2vec",
            "deit",
            "dinov2",
            "flava",
            "git",
            "glm4v",
            "granite_docling",
            "groupvit",
            "ijepa",
            "instructblip",
            "instructblipvideo",
            "internvl",
            "janus",
            "kimi_k25",
            "kosmos2",
            "metaclip_2",
            "owlv2",
            "owlvit",
            "qianfan_ocr",
            "siglip",
            "vit",
            "vit_mae",
            "vit_msn",
            "x_clip",
        ),
        _BICUBIC,
    ),
    "dinov2_with_registers": _BICUBIC_ANTIALIASED,
    "rf_detr": _BICUBIC_ANTIALIASED,
    **dict.fromkeys(("inkling2", "paddleocr_vl", "step3p7"), _BILINEAR),
    "siglip2": _BILINEAR_ANTIALIASED,
    "tipsv2": _BILINEAR_ANTIALIASED,
    **dict.fromkeys(
        (
            "cohere_compass",
            "qwen3_5",
            "qwen3_5_moe",
            "qwen3_omni_moe",
            "qwen3_vl",
            "qwen3_vl_moe",
            "qwen4_exp",
        ),
        _BILINEAR_CORNERS,
    ),
    "big_vision": _BILINEAR_CORNERS,
    "big_vision_flexi": _BILINEAR_ANTIALIASED,
    "big_vision_naflex": _BILINEAR_ANTIALIASED,
    "dinov2_hub": ("bicubic", False, False, 0.1),
    "timm": _BICUBIC_ANTIALIASED,
    "timm_npz": _BILINEAR,
}

_VISION = "_vision_model"
# Other names of the same: the model types of transformers, and of their parts that see,
# and the families of `params_from_checkpoint`.
_TYPES = {
    **{
        f"{name}{_VISION}": name
        for name in (
            *("altclip", "blip", "blip_2", "bridgetower", "chinese_clip", "clip"),
            *("clipseg", "git", "groupvit", "instructblip", "instructblipvideo"),
            *("janus", "metaclip_2", "owlv2", "owlvit", "siglip", "siglip2", "tipsv2"),
        )
    },
    **{
        f"{name}_vision": name
        for name in (
            *("blip", "clip", "cohere_compass", "glm4v", "granite_docling"),
            "inkling2",
            *("internvl", "kimi_k25", "paddleocr_vl", "qianfan_ocr", "qwen3_5"),
            *("qwen3_5_moe", "qwen3_vl", "qwen3_vl_moe", "qwen4_exp", "siglip"),
            "siglip2",
        )
    },
    "data2vec-vision": "data2vec",
    "flava_image_model": "flava",
    "kosmos-2": "kosmos2",
    "kosmos_2_vision_model": "kosmos2",
    "qwen3_omni_moe_thinker": "qwen3_omni_moe",
    "qwen3_omni_moe_vision_encoder": "qwen3_omni_moe",
    "rf_detr_dinov2": "rf_detr",
    "step3p5_vision": "step3p7",
    "timm_naflex": "timm",
    "xclip": "x_clip",
    "xclip_vision_model": "x_clip",
}
_ROTARY = "has no learned positions that could be resized: its positions are rotary"
_REASONS = {
    "dinov3": _ROTARY,
    "dinov3_vit": _ROTARY,
    "llava": "resizes as its vision_config does: pass the model_type of that",
}


@public
def resize_options(family: str) -> dict[str, Any]:
    """How models of a family resize learned positions, as keyword arguments.

    Args:
        family: A name of the table in `docs/resizing/resizing.md`, `"timm"`,
            `"dinov2_hub"`, `"big_vision"` and its kin among them; a model type of
            transformers, whole or of the part that sees; or a family of
            `params_from_checkpoint`.

    Returns:
        `method`, `antialias`, `align_corners` and `offset`, for `resize_positions`,
        `resize_positions_at` and `apply_vision_embedding`.

    Raises:
        ValueError: If the family is not known. There is no default: the wrong kernel
            moves every position a little and shows only in the scores of the model.

    Example:
        >>> resize_options("dinov2")["method"]
        'bicubic'

    Reference:
        transformers 5.23.0 (`interpolate_pos_encoding` of each model), timm 1.0
        (`resample_abs_pos_embed`), facebookresearch/dinov2
        (`interpolate_pos_encoding`), google-research/big_vision (`models/vit.py`,
        `models/proj/flexi/vit.py`, `models/proj/image_text/naflex_vit.py`).
    """
    hint = "; or pass method, antialias, align_corners and offset yourself"
    family = family_of(family, RESIZE_OPTIONS, _TYPES, _REASONS, hint=hint)
    names = "method", "antialias", "align_corners", "offset"
    return dict(zip(names, RESIZE_OPTIONS[family], strict=True))
