import pytest
from helpers import refused

import attnax.functional as F
from attnax import interop
from attnax.interop._checkpoint_families.images import IMAGES
from attnax.interop._options.resampling import RESAMPLINGS


def test_every_family_has_a_record():
    for family in RESAMPLINGS:
        assert isinstance(interop.resampling(family), F.Resampling)


def test_records_of_families_whose_ways_differ():
    expected = F.Resampling("bicubic", antialias=False, offset=0.1)
    assert interop.resampling("dinov2_hub") == expected
    assert interop.resampling("siglip2").antialias
    assert interop.resampling("qwen3_vl").align_corners


def test_families_of_checkpoints_have_one_name_in_both_tables():
    # timm makes NaFlex positions the same way; DINOv3 has no positions to resize.
    others = {"timm_naflex", "dinov3"}
    assert {family.name for family in IMAGES} - others <= set(RESAMPLINGS)


@pytest.mark.errors
def test_an_unknown_family_is_refused():
    with refused("resampling: family='vitt' must be one of .*'vit'"):
        interop.resampling("vitt")


@pytest.mark.errors
def test_models_that_take_the_nearest_row_are_refused():
    with refused("resampling: family='smolvlm_vision' takes the nearest rows"):
        interop.resampling("smolvlm_vision")
