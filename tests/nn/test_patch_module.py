"""Patch embedding of videos as a module; that of images stands in `test_modules`."""

import equinox as eqx
import host
import jax
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted

import attnax
import attnax.functional as F

KEY = jax.random.key(0)


def tubelets(**options):
    sizes = {"image_size": (4, 6, 9), "patch_size": (2, 2, 3), "num_channels": 3}
    return attnax.PatchEmbedding(**{**sizes, "d_model": 8, "key": KEY, **options})


def test_module_of_videos_is_the_function():
    module = tubelets()
    call = eqx.filter_jit(module)
    rng = np.random.default_rng(1)
    video = rng.normal(size=(2, 4, 6, 9, 3)).astype(module.weight.dtype)
    params = F.init_patch_embedding(
        KEY, patch_size=(2, 2, 3), num_channels=3, d_model=8
    )
    assert_same_bits(module.weight, params.weight)
    embed = jitted(F.apply_patch_embedding)
    expected = np.asarray(embed(params, video, patch_size=(2, 2, 3)))
    assert expected.shape == (2, 2 * 3 * 3, 8)
    assert_same_bits(call(video), expected)
    one = embed(params, video[0], patch_size=(2, 2, 3))
    assert_same_bits(call(video[0]), one)
    # Sums of 36 products, added up in another order.
    magnitude = np.abs(video).max() * np.abs(module.weight).sum(0).max()
    assert_close(one, expected[0], magnitude=float(magnitude), roundings=36)
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
        tubelets()(host.ones((4, 9, 6, 3)))
