"""How released models count positions past images and videos, from their config."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import attnax.functional as F

from ..._checks import number, positive_integer, type_of
from ..._public import public
from .._model_types import by_name


class _Family(NamedTuple):
    """What the code of a model type reads; a tuple holds a key and its default."""

    merge_size: tuple[str, int] | None = ("spatial_merge_size", 2)
    temporal_merge_size: tuple[str, int] | None = None
    rate: tuple[str, int] | None = None
    rate_in_vision: bool = True
    separate_frames: bool = False
    advance: str = "side"


_OMNI = _Family(
    rate=("position_id_per_seconds", 25), rate_in_vision=False, advance="position"
)
_ROWS = (
    ("qwen2_vl paddleocr_vl", _Family()),
    ("qwen2_5_vl", _Family(rate=("tokens_per_second", 4))),
    (
        """
        cohere_compass cosmos3_edge cosmos3_omni glm46v glm4v glm4v_moe glm_ocr qwen3_5
        qwen3_5_moe qwen3_vl qwen3_vl_moe qwen4_exp
        """,
        _Family(separate_frames=True),
    ),
    ("ernie4_5_vl_moe", _Family(temporal_merge_size=("temporal_merge_size", 2))),
    ("glm_image", _Family(merge_size=None)),
    ("qwen2_5_omni qwen2_5_omni_thinker", _OMNI),
)
MULTIMODAL: dict[str, _Family] = by_name(_ROWS)

_FRACTIONS = (
    "gives the frames of a video positions that are fractions, where "
    "position_id_per_seconds times the seconds between them is one"
)
REFUSED_MULTIMODAL = {
    "hunyuan_vl": "has a fourth coordinate, and counts an image by its tokens",
    "minicpmv4_7": "lays the slices of an image out on a canvas",
    "qwen3_omni_moe": _FRACTIONS,
    "qwen3_omni_moe_thinker": _FRACTIONS,
}


@public
def multimodal_rule_from_hf(config: Mapping) -> F.MultimodalRule:
    """Returns how a model counts positions past images and videos.

    Args:
        config: A dict as in the `config.json` of a model of text and images. Keys that
            are missing have the defaults of the model's class in transformers 5.23.

    Returns:
        The record that `functional.multimodal_positions` takes, which then equals the
        model's `get_rope_index`.

    Raises:
        ValueError: If the model type is not in the table in
            `docs/multimodal_positions.md`, or a value is not a positive number.

    Example:
        >>> config = {"model_type": "qwen2_5_vl", "vision_config": {}}
        >>> multimodal_rule_from_hf(config).positions_per_second
        4.0

    Reference:
        Hugging Face transformers 5.23, `get_rope_index` of each model.
        https://github.com/huggingface/transformers
    """
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is {type_of(config)}, but must be a dict as in config.json; "
            "pass config.to_dict()."
        )
    family = _family(config.get("model_type"))
    path, part = (), config
    if "thinker_config" in config:
        path, part = _part(path, part, "thinker_config")
    vision_path, vision = _part(path, part, "vision_config")
    settings: dict[str, Any] = {"merge_size": 1}
    for name in ("merge_size", "temporal_merge_size"):
        if getattr(family, name) is not None:
            key, default = getattr(family, name)
            value = vision.get(key, default)
            settings[name] = positive_integer(_said(vision_path, key), value)
    if family.rate is not None:
        key, default = family.rate
        where, keys = (vision_path, vision) if family.rate_in_vision else (path, part)
        rate = number(_said(where, key), keys.get(key, default), positive=True)
        settings["positions_per_second"] = rate
    return F.MultimodalRule(
        separate_frames=family.separate_frames, advance=family.advance, **settings
    )


def _family(model_type):
    """The row of a model type; the error says why there is none."""
    said = f"config['model_type']={model_type!r}"
    known = isinstance(model_type, str)
    if known and model_type in REFUSED_MULTIMODAL:
        raise ValueError(f"{said} {REFUSED_MULTIMODAL[model_type]}.")
    if not known or model_type not in MULTIMODAL:
        raise ValueError(
            f"{said} must be one of {sorted(MULTIMODAL)}; or make an "
            "attnax.functional.MultimodalRule yourself."
        )
    return MULTIMODAL[model_type]


def _part(path, part, key):
    """A part of a config with its path; without any keys where it is missing."""
    values = part.get(key)
    if not isinstance(values, Mapping | None):
        said = _said(path, key)
        raise ValueError(f"{said} is {type_of(values)}, but must be a dict or null.")
    return (*path, key), values or {}


def _said(path, key):
    """A key of a config, as an error names it."""
    return f"config{[*path, key]}"
