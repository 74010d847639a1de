"""Tokens, kernels and grids of images, as parameters have them."""

import ml_dtypes
import numpy as np
import pytest
from helpers import assert_same_bits
from hypothesis import given
from hypothesis import strategies as st
from state_dicts import CASES, D, assert_same_tensors, state

from attnax import interop

DTYPES = (np.float32, ml_dtypes.bfloat16, np.float16)
named = pytest.mark.parametrize("case", CASES)


@pytest.mark.parametrize(
    ("case", "before", "behind", "grid"),
    (
        ("vit", ["vit.embeddings.cls_token"], [], (3, 3)),
        (
            "deit",
            ["deit.embeddings.cls_token", "deit.embeddings.distillation_token"],
            [],
            (3, 3),
        ),
        (
            "dinov2_with_registers",
            ["embeddings.cls_token"],
            ["embeddings.register_tokens"],
            (3, 3),
        ),
        ("dinov2_hub", ["cls_token"], [], (3, 3)),
        ("dinov2_hub, registers", ["cls_token"], ["register_tokens"], (3, 3)),
        ("dinov3", ["embeddings.cls_token"], ["embeddings.register_tokens"], None),
        ("clip_vision", ["vision_model.embeddings.class_embedding"], [], (3, 3)),
        ("siglip_vision", [], [], (3, 3)),
        ("timm", ["cls_token"], [], (3, 3)),
        ("timm, no_embed_class", [], ["cls_token", "reg_token"], (5, 5)),
        ("timm, registers with positions", ["cls_token", "reg_token"], [], (5, 5)),
        ("timm, distilled", ["cls_token", "dist_token"], [], (2, 2)),
        (
            "timm, distilled with registers",
            ["cls_token", "dist_token", "reg_token"],
            [],
            (5, 5),
        ),
        (
            "timm_naflex, convolution",
            [],
            ["embeds.cls_token", "embeds.reg_token"],
            (3, 5),
        ),
        ("big_vision, class token", [], ["params/img/cls"], (3, 3)),
        ("big_vision, old", ["cls"], [], (3, 3)),
        ("big_vision_naflex", [], [], (3, 5)),
    ),
)
def test_tokens_stand_where_the_family_has_them(case, before, behind, grid):
    family, shapes, _ = CASES[case]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    assert checkpoint.grid == grid
    for actual, names in (
        (checkpoint.params.tokens_with_position, before),
        (checkpoint.params.tokens_without_position, behind),
    ):
        if names:
            rows = [tensors[name].reshape(-1, D) for name in names]
            assert_same_bits(actual, np.concatenate(rows))
        else:
            assert actual is None


@pytest.mark.parametrize(
    ("case", "order"),
    (
        ("timm", (2, 3, 1, 0)),  # OIHW
        ("timm_naflex, convolution", (2, 3, 1, 0)),
        ("timm_naflex", (1, 0)),
        ("siglip2_vision", (1, 0)),
        ("big_vision", (0, 1, 2, 3)),
        ("big_vision_naflex", (0, 1)),
    ),
)
def test_kernels_become_rows_of_row_column_channel(case, order):
    family, shapes, _ = CASES[case]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family)
    kernel = tensors[next(s.name for s in checkpoint.tensors if s.role == "patch")]
    expected = kernel.transpose(order).reshape(-1, D)
    assert_same_bits(checkpoint.params.patch.weight, expected)
    sides = {(2, 3, 1, 0): kernel.shape[2:], (0, 1, 2, 3): kernel.shape[:2]}
    assert checkpoint.patch_size == sides.get(order)


def test_patch_size_of_a_linear_layer_is_what_it_is_told():
    family, shapes, _ = CASES["timm_naflex"]
    tensors = state(shapes)
    checkpoint = interop.params_from_checkpoint(tensors, family, patch_size=(5, 2))
    assert checkpoint.patch_size == (5, 2)
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)


@given(
    rows=st.integers(1, 4),
    columns=st.integers(1, 5),
    patch=st.sampled_from(((1, 1), (2, 3), (5, 2))),
    channels=st.integers(1, 3),
    width=st.integers(1, 4),
    registers=st.integers(0, 3),
    with_positions=st.booleans(),
    dtype=st.sampled_from(DTYPES),
)
def test_vision_of_any_size(
    rows, columns, patch, channels, width, registers, with_positions, dtype
):
    prefix = (1 + registers) * with_positions
    shapes = {
        "patch_embed.proj.weight": (width, channels, *patch),
        "patch_embed.proj.bias": (width,),
        "cls_token": (1, 1, width),
        "reg_token": (1, registers, width),
        "pos_embed": (1, prefix + rows * columns, width),
    }
    tensors = state(shapes, dtype=dtype)
    checkpoint = interop.params_from_checkpoint(tensors, "timm", grid=(rows, columns))
    assert checkpoint.grid == (rows, columns)
    assert checkpoint.patch_size == patch
    assert (checkpoint.params.tokens_without_position is None) == with_positions
    assert checkpoint.params.positions.weight.shape == shapes["pos_embed"][1:]
    assert_same_tensors(interop.checkpoint_from_params(checkpoint), tensors)
