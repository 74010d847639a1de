"""How released models resize their learned grids of positions."""

import attnax.functional as F

from ..._public import public
from .._model_types import by_name, family_of

_BICUBIC = F.Resampling("bicubic", antialias=False)
_BICUBIC_ANTIALIASED = F.Resampling("bicubic", antialias=True)
_BILINEAR = F.Resampling("bilinear", antialias=False)
_BILINEAR_ANTIALIASED = F.Resampling("bilinear", antialias=True)
_BILINEAR_CORNERS = F.Resampling("bilinear", antialias=False, align_corners=True)
_BICUBIC_OFFSET = F.Resampling("bicubic", antialias=False, offset=0.1)

# The names of families are those of the families of checkpoints, where there is one.
# `big_vision` is `scipy.ndimage.zoom` of the original repository, `dinov2_hub` the
# default of its own, and `timm_npz` what timm does to weights of `.npz` files.
_ROWS = (
    (
        """
        altclip beit blip_2 blip_vision bridgetower chinese_clip clip_vision clipseg
        data2vec deit dinov2 flava git glm4v granite_docling groupvit ijepa instructblip
        instructblipvideo internvl janus kimi_k25 kosmos2 metaclip_2 owlv2 owlvit
        qianfan_ocr siglip_vision vit vit_mae vit_msn x_clip
        """,
        _BICUBIC,
    ),
    ("dinov2_with_registers rf_detr timm", _BICUBIC_ANTIALIASED),
    ("inkling2 paddleocr_vl step3p7 timm_npz", _BILINEAR),
    (
        "big_vision_flexi big_vision_naflex siglip2_vision tipsv2",
        _BILINEAR_ANTIALIASED,
    ),
    (
        """
        big_vision cohere_compass qwen3_5 qwen3_5_moe qwen3_omni_moe qwen3_vl
        qwen3_vl_moe qwen4_exp
        """,
        _BILINEAR_CORNERS,
    ),
    ("dinov2_hub", _BICUBIC_OFFSET),
)
RESAMPLINGS: dict[str, F.Resampling] = by_name(_ROWS)

# Other names of the families: the model types of transformers, of whole models and of
# their vision parts, and `timm_naflex` of the families of checkpoints.
_NAMES = {
    "altclip": "altclip_vision_model",
    "blip_2": "blip-2 blip_2_vision_model",
    "blip_vision": "blip blip_vision_model",
    "bridgetower": "bridgetower_vision_model",
    "chinese_clip": "chinese_clip_vision_model",
    "clip_vision": "clip clip_vision_model",
    "clipseg": "clipseg_vision_model",
    "cohere_compass": "cohere_compass_vision",
    "data2vec": "data2vec-vision",
    "flava": "flava_image_model",
    "git": "git_vision_model",
    "glm4v": "glm4v_vision",
    "granite_docling": "granite_docling_vision",
    "groupvit": "groupvit_vision_model",
    "inkling2": "inkling2_vision",
    "instructblip": "instructblip_vision_model",
    "instructblipvideo": "instructblipvideo_vision_model",
    "internvl": "internvl_vision",
    "janus": "janus_vision_model",
    "kimi_k25": "kimi_k25_vision",
    "kosmos2": "kosmos-2 kosmos_2_vision_model",
    "metaclip_2": "metaclip_2_vision_model",
    "owlv2": "owlv2_vision_model",
    "owlvit": "owlvit_vision_model",
    "paddleocr_vl": "paddleocr_vl_vision",
    "qianfan_ocr": "qianfan_ocr_vision",
    "qwen3_5": "qwen3_5_vision",
    "qwen3_5_moe": "qwen3_5_moe_vision",
    "qwen3_omni_moe": "qwen3_omni_moe_thinker qwen3_omni_moe_vision_encoder",
    "qwen3_vl": "qwen3_vl_vision",
    "qwen3_vl_moe": "qwen3_vl_moe_vision",
    "qwen4_exp": "qwen4_exp_vision",
    "rf_detr": "rf_detr_dinov2",
    "siglip2_vision": "siglip2 siglip2_vision_model",
    "siglip_vision": "siglip siglip_vision_model",
    "step3p7": "step3p5_vision",
    "timm": "timm_naflex",
    "tipsv2": "tipsv2_vision_model",
    "x_clip": "xclip xclip_vision_model",
}
RESAMPLING_TYPES: dict[str, str] = by_name(
    (names, family) for family, names in _NAMES.items()
)
_ROTARY = "has no learned positions that could be resized: its positions are rotary"
_NEAREST = "takes the nearest rows of its table, which no Resampling does"
_REASONS = {
    "dinov3": _ROTARY,
    "dinov3_vit": _ROTARY,
    "idefics2_vision": _NEAREST,
    "idefics3_vision": _NEAREST,
    "llava": "resizes as its vision_config does: pass the model_type of that",
    "phi4_multimodal_vision": _NEAREST,
    "smolvlm_vision": _NEAREST,
}
# The way out for a name that no table knows.
_HINT = "; or make an attnax.functional.Resampling yourself"


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
    return RESAMPLINGS[_family(family)]


def known_resampling(family: str) -> F.Resampling | None:
    """How models of a family resize learned positions; `None` if that is not known."""
    try:
        return RESAMPLINGS[_family(family)]
    except ValueError:
        return None


def _family(family):
    return family_of(family, RESAMPLINGS, RESAMPLING_TYPES, _REASONS, hint=_HINT)
