"""Patches, grids and tokens of images that do not fit."""

import re

import numpy as np
import pytest
from helpers import refused
from zero_tensors import GPT2, fails, timm, vit, zeros

from attnax import interop

pytestmark = pytest.mark.errors
load, write = interop.params_from_checkpoint, interop.checkpoint_from_params


def test_texts_have_no_patches():
    for given in ({"patch_size": 4}, {"grid": (2, 3)}):
        with fails("must be None for family='gpt2'"):
            load(zeros(**GPT2), "gpt2", **given)


def test_patch_sizes_must_be_those_of_the_kernel():
    name = "embeddings.patch_embeddings.projection.weight"
    with fails(
        f"'{name}' of shape (6, 3, 5, 4) must have shape (d_model, channels, 4, 5)."
    ):
        load(vit(), "vit", patch_size=(4, 5))
    linear = zeros(("embeds.proj.weight", (6, 60)), ("embeds.pos_embed", (1, 2, 3, 6)))
    message = (
        "'embeds.proj.weight' of shape (6, 60) must have patch_dim a multiple of 16"
    )
    with fails(message):
        load(linear, "timm_naflex", patch_size=4)
    for size in (0, 8.0, True, (1.5, 2), (2, 2, 2)):
        with refused(re.escape(f"patch_size={size} must be")):
            load(linear, "timm_naflex", patch_size=size)
    message = "'embeds.pos_embed' of shape (1, 2, 3, 6) must have shape (1, 3, 2, 6)."
    with fails(message):
        load(linear, "timm_naflex", grid=(3, 2))


def test_grids_must_fill_the_table():
    name = "embeddings.position_embeddings"
    message = (
        f"'{name}' of shape (1, 7, 6) must have shape (1, 1 + side * side, 6); pass "
        "grid=(rows, columns)."
    )
    with fails(message):
        load(vit(7), "vit")
    with fails(f"'{name}' of shape (1, 10, 6) must have shape (1, 1 + 2 * 3, 6)."):
        load(vit(10), "vit", grid=(2, 3))
    with fails(
        "'pos_embed' of shape (1, 8, 6) must have shape (1, 5 + 2 * 3, 6) or (1"
    ):
        load(timm(8), "timm", grid=(2, 3))
    with fails(f"'{name}' of shape (1, 1, 6) must have shape (1, 1 + side * side, 6)"):
        load(vit(1), "vit")
    with refused("grid=3 must be"):
        load(vit(10), "vit", grid=3)
    with refused(r"grid=\(3.0, 3\) must be"):
        load(vit(10), "vit", grid=(3.0, 3))


def test_tokens_must_be_known_to_have_positions_or_not():
    message = (
        "'pos_embed' of shape (1, 9, 6) must have only one of the shapes "
        "(1, 5 + side * side, 6) or (1, side * side, 6); pass grid=(rows, columns)."
    )
    with fails(message):
        load(timm(9), "timm")
    assert load(timm(9), "timm", grid=(2, 2)).params.tokens_without_position is None
    assert load(timm(9), "timm", grid=(3, 3)).params.tokens_with_position is None


def test_tokens_must_have_one_dtype():
    half = zeros(("reg_token", (1, 4, 6)), dtype=np.float16)
    message = "{'cls_token': 'float32', 'reg_token': 'float16'} must be one dtype"
    with fails(message):
        load(timm(30) | half, "timm")
