import dataclasses
import pathlib

import pytest
from helpers import refused

import attnax.functional as F
from attnax.interop import multimodal_rule_from_hf
from attnax.interop._options.multimodal import MULTIMODAL, REFUSED_MULTIMODAL
from conformance.embeddings.records import load

PAGE = pathlib.Path(__file__).parents[3] / "docs/multimodal_positions.md"


def test_golden_values_cover_every_model_type():
    recorded = {record.options["model_type"] for record in load("multimodal_positions")}
    # The whole of Qwen2.5-Omni has the rule of its thinker.
    assert recorded == set(MULTIMODAL) - {"qwen2_5_omni"}


def test_the_page_names_every_model_type():
    page = PAGE.read_text()
    for model_type in (*MULTIMODAL, *REFUSED_MULTIMODAL):
        assert f"`{model_type.removesuffix('_thinker')}`" in page


def test_keys_of_a_config():
    vision = {"spatial_merge_size": 3, "tokens_per_second": 2, "temporal_merge_size": 5}
    read = lambda model_type, **keys: multimodal_rule_from_hf(
        {"model_type": model_type, "vision_config": vision, **keys}
    )
    plain = F.MultimodalRule(3)
    assert read("qwen2_vl") == plain
    # The code of transformers does not read its tokens per second.
    assert read("paddleocr_vl") == plain
    assert read("glm_image") == F.MultimodalRule(1)
    changed = {
        "qwen2_5_vl": {"positions_per_second": 2.0},
        "ernie4_5_vl_moe": {"temporal_merge_size": 5},
        "qwen3_vl": {"separate_frames": True},
        "qwen2_5_omni_thinker": {"positions_per_second": 25, "advance": "position"},
    }
    for model_type, settings in changed.items():
        assert read(model_type) == dataclasses.replace(plain, **settings)
    thinker = {"vision_config": vision, "position_id_per_seconds": 13}
    whole = {"model_type": "qwen2_5_omni", "thinker_config": thinker}
    expected = F.MultimodalRule(3, positions_per_second=13, advance="position")
    assert multimodal_rule_from_hf(whole) == expected


@pytest.mark.errors
@pytest.mark.parametrize(
    "config, message",
    (
        ([], "config is a list, but must be a dict as in config.json"),
        ({}, r"config\['model_type'\]=None must be one of .*'qwen2_vl'.* yourself"),
        ({"model_type": "llama"}, r"config\['model_type'\]='llama' must be one of"),
        ({"model_type": ["llama"]}, r"config\['model_type'\]=\['llama'\] must be one"),
        (
            {"model_type": "hunyuan_vl"},
            r"config\['model_type'\]='hunyuan_vl' has a fourth coordinate",
        ),
        (
            {"model_type": "qwen3_omni_moe"},
            r"config\['model_type'\]='qwen3_omni_moe' gives the frames of a",
        ),
        (
            {"model_type": "qwen2_vl", "vision_config": 2},
            r"config\['vision_config'\] is an int, but must be a dict or null",
        ),
        (
            {"model_type": "qwen2_vl", "vision_config": {"spatial_merge_size": 0}},
            r"config\['vision_config', 'spatial_merge_size'\]=0 must be a positive",
        ),
        (
            {"model_type": "qwen2_5_vl", "vision_config": {"tokens_per_second": "2"}},
            r"config\['vision_config', 'tokens_per_second'\]='2' must be finite",
        ),
    ),
)
def test_configs_that_are_refused(config, message):
    with refused(f"multimodal_rule_from_hf: {message}"):
        multimodal_rule_from_hf(config)
