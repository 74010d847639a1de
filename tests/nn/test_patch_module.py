"""Patch embedding of videos as a module; that of images stands in `test_modules`."""

import jax
import jax.numpy as jnp
import pytest
from helpers import assert_same_bits

import attnax
import attnax.functional as F

KEY = jax.random.key(0)


def tubelets(**options):
    sizes = {"image_size": (4, 6, 9), "patch_size": (2, 2, 3), "num_channels": 3}
    return attnax.PatchEmbedding(**{**sizes, "d_model": 8, "key": KEY, **options})


def test_module_of_videos_is_the_function():
    video = jax.random.normal(jax.random.key(1), (2, 4, 6, 9, 3))
    module = tubelets()
    params = F.init_patch_embedding(
        KEY, patch_size=(2, 2, 3), num_channels=3, d_model=8
    )
    assert_same_bits(module.weight, params.weight)
    expected = F.apply_patch_embedding(params, video, patch_size=(2, 2, 3))
    assert expected.shape == (2, 2 * 3 * 3, 8)
    assert_same_bits(module(video), expected)
    assert_same_bits(module(video[0]), module(video)[0])
    assert jax.tree.structure(module.params) == jax.tree.structure(params)


@pytest.mark.errors
def test_videos_are_checked():
    for options, message in (
        ({"image_size": (5, 6, 9)}, r"image_size=\(5, 6, 9\) must be a multiple of"),
        ({"image_size": (6, 9)}, r"image_size=\(6, 9\) must have the axes of patch"),
        ({"patch_size": 3}, r"must have the axes of patch_size=\(3, 3\)"),
        ({"patch_size": (1, 1, 1, 1)}, "PatchEmbedding: .* must be a positive int"),
        ({"patch_size": True}, "PatchEmbedding: patch_size=True must be a positive"),
        ({"image_size": True}, "PatchEmbedding: image_size=True must be a positive"),
        (
            {"patch_size": (1, 2, 0)},
            r"PatchEmbedding: patch_size=\(1, 2, 0\) must be a positive",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            tubelets(**options)
    message = r"image.shape=\(4, 9, 6, 3\) must end in \(4, 6, 9, 3\)"
    with pytest.raises(ValueError, match=message):
        tubelets()(jnp.ones((4, 9, 6, 3)))
