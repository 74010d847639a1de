import inspect

import pytest
from helpers import refused

import attnax.functional as F
from attnax import interop
from attnax.interop._options.resampling import RESIZE_OPTIONS


def test_options_are_arguments_of_every_function_that_resizes():
    for function in (F.resize_positions, F.resize_positions_at):
        known = set(inspect.signature(function).parameters)
        for family in RESIZE_OPTIONS:
            assert set(interop.resize_options(family)) <= known


def test_options_of_families_whose_ways_differ():
    assert interop.resize_options("dinov2_hub") == {
        "method": "bicubic",
        "antialias": False,
        "align_corners": False,
        "offset": 0.1,
    }
    assert interop.resize_options("siglip2")["antialias"]
    assert interop.resize_options("qwen3_vl")["align_corners"]


def test_results_share_nothing():
    interop.resize_options("vit")["method"] = "bilinear"
    assert interop.resize_options("vit")["method"] == "bicubic"


@pytest.mark.errors
def test_an_unknown_family_is_refused():
    with refused("resize_options: family='vitt' must be one of .*'vit'"):
        interop.resize_options("vitt")
