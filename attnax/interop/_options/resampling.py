"""How released models resize their learned grids of positions."""

import attnax.functional as F

from ..._public import public
from .._model_types import family_of

_BICUBIC = F.Resampling("bicubic", antialias=False)
_BICUBIC_ANTIALIASED = F.Resampling("bicubic", antialias=True)
_BILINEAR = F.Resampling("bilinear", antialias=False)
_BILINEAR_ANTIALIASED = F.Resampling("bilinear", antialias=True)
_BILINEAR_CORNERS = F.Resampling("bilinear", antialias=False, align_corners=True)

# The names are those of transformers' folders, except the last six: `dinov2_hub` is the
# default of the original repository, `big_vision` its `scipy.ndimage.zoom`.
RESAMPLINGS: dict[str, F.Resampling] = {
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
    "dinov2_hub": F.Resampling("bicubic", antialias=False, offset=0.1),
    "timm": _BICUBIC_ANTIALIASED,
    "timm_npz": _BILINEAR,
}

_VISION = "_vision_model"
# Other names of these families: the model types of transformers, those of their vision
# parts, and the families of `params_from_checkpoint`.
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
def resampling(family: str) -> F.Resampling:
    """Returns how models of a family resize learned positions.

    Args:
        family: A name of the table in `docs/resizing/resizing.md`, such as `"timm"`,
            `"dinov2_hub"` or `"big_vision"`; a model type of transformers, of the whole
            model or of its vision part; or a family of `params_from_checkpoint`.

    Returns:
        The record that `resize_positions`, `resize_positions_at` and the vision
        embeddings take.

    Raises:
        ValueError: If the family is not known. There is no default: the wrong kernel
            moves every position a little, which shows only in the scores of the model.

    Example:
        >>> resampling("dinov2").method
        'bicubic'

    Reference:
        transformers 5.23.0 (`interpolate_pos_encoding` of each model), timm 1.0
        (`resample_abs_pos_embed`), facebookresearch/dinov2
        (`interpolate_pos_encoding`), google-research/big_vision (`models/vit.py`,
        `models/proj/flexi/vit.py`, `models/proj/image_text/naflex_vit.py`).
    """
    hint = "; or make an attnax.functional.Resampling yourself"
    return RESAMPLINGS[family_of(family, RESAMPLINGS, _TYPES, _REASONS, hint=hint)]


def known_resampling(family: str) -> F.Resampling | None:
    """As `resampling`, but `None` if the family is not known."""
    try:
        return resampling(family)
    except ValueError:
        return None
