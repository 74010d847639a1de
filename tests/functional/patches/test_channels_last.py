"""Images and videos with their channels first are told so, and what mends them."""

import re

import host
import jax
import numpy as np
import pytest
from helpers import jitted

import attnax.functional as F
from attnax import nn

pytestmark = pytest.mark.errors

KEY = jax.random.key(0)
# Channels in front of the pixels, the patch, and which axis they are on.
IMAGES = (
    ((2, 3, 8, 12), 4, -3),
    ((3, 12, 8), (4, 8), -3),
    ((1, 9, 9), 3, -3),
    ((2, 4, 5, 7), (5, 7), -3),
)
VIDEOS = (
    ((2, 3, 4, 8, 12), (2, 4, 4), -4),  # before the frames
    ((3, 2, 8, 12), (2, 4, 4), -4),
    ((2, 4, 3, 8, 12), (2, 4, 4), -3),  # between frames and rows
    ((2, 3, 8, 12), (1, 4, 4), -3),
)


def sizes(patch):
    return {"patch_size": patch, "num_channels": 3, "d_model": 4}


def of_size(image, patch, axis):
    """The size in pixels of the image as it is meant."""
    num_axes = 2 if isinstance(patch, int) or len(patch) == 2 else 3
    return np.moveaxis(image, axis, -1).shape[-1 - num_axes : -1]


def embed(image, patch, axis):
    channels = image.shape[axis]
    params = F.init_patch_embedding(KEY, **{**sizes(patch), "num_channels": channels})
    return lambda image: F.apply_patch_embedding(params, image, patch_size=patch)


def embed_by_vision(image, patch, axis):
    size = of_size(image, patch, axis)
    options = {**sizes(patch), "num_channels": image.shape[axis]}
    return nn.VisionEmbedding(image_size=size, **options, key=KEY)


def embed_by_module(image, patch, axis):
    size = of_size(image, patch, axis)
    options = {**sizes(patch), "num_channels": image.shape[axis]}
    return nn.PatchEmbedding(image_size=size, **options, key=KEY)


# By the name that errors carry.
FUNCTIONS = {
    "patchify": lambda _, patch, axis: lambda image: F.patchify(image, patch),
    "pad_image": lambda _, patch, axis: lambda image: F.pad_image(image, patch),
    "apply_patch_embedding": embed,
    "VisionEmbedding": embed_by_vision,
    "PatchEmbedding": embed_by_module,
}


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("case", (*IMAGES, *VIDEOS), ids=str)
def test_channels_first_is_said_and_the_transpose_mends_it(name, case):
    shape, patch, axis = case
    image = np.ones(shape, np.float32)
    function = FUNCTIONS[name](image, patch, axis)
    if name in ("patchify", "pad_image") and fits(shape, patch):
        pytest.skip("these rows and columns are whole patches, whatever they mean")
    for library, of_library in (("np", image), ("jnp", host.asarray(image))):
        move = f"{library}.moveaxis(image, {axis}, -1) makes it so"
        match = rf"^{name}: image.shape={re.escape(str(shape))} must be channels last, "
        with pytest.raises(ValueError, match=match + ".*" + re.escape(move)):
            function(of_library)
    jax.eval_shape(function, np.moveaxis(image, axis, -1))


def fits(shape, patch):
    patch = (patch, patch) if isinstance(patch, int) else patch
    return not any(np.remainder(shape[-1 - len(patch) : -1], patch))


def test_only_two_cases_fit_as_they_are_read():
    assert sum(fits(shape, patch) for shape, patch, _ in (*IMAGES, *VIDEOS)) <= 2


def test_packed_images():
    images = [np.ones(shape, np.float32) for shape in ((8, 12, 3), (3, 8, 12))]
    match = (
        r"^pack_patches: images\[1\].shape=\(3, 8, 12\) must be channels last, .*; "
        r"np.moveaxis\(images\[1\], -3, -1\)"
    )
    with pytest.raises(ValueError, match=match):
        F.pack_patches(images, 4, 8)
    with pytest.raises(ValueError, match=r"^pack_patches: images\[0\].shape=.* last"):
        F.pack_patches(images[::-1], 4, 8)
    packed = F.pack_patches([images[0], np.moveaxis(images[1], -3, -1)], 4, 8)
    assert packed.patches.shape == (2, 8, 48)


def test_the_whole_shape_of_what_comes_out():
    patches = np.ones((2, 6, 48), np.float32)
    for shape in ((2, 3, 8, 12), [2, 3, 8, 12]):
        match = (
            r"^unpatchify: image_size=\(2, 3, 8, 12\) must be channels last, .* of 3"
        )
        with pytest.raises(ValueError, match=match):
            F.unpatchify(patches, shape, 4)
    assert F.unpatchify(patches, (2, 8, 12, 3), 4).shape == (2, 8, 12, 3)


def test_padding_says_how_it_is_meant_otherwise():
    """Few rows of many channels are rare, and not impossible."""
    scan_lines = np.ones((2, 1, 9, 200), np.float32)
    with pytest.raises(
        ValueError, match=r"if it is so already, pass padded_size=\(4, 12"
    ):
        F.pad_image(scan_lines, 4)
    assert F.pad_image(scan_lines, 4, padded_size=(4, 12)).image.shape == (
        2,
        4,
        12,
        200,
    )
    with pytest.raises(ValueError, match=r"^pad_image: image.shape=.* channels last"):
        F.pad_image(np.ones((3, 300, 200)), 4, padded_size=(256, 256))


@pytest.mark.parametrize(
    "shape", ((6, 9, 3), (2, 6, 9, 1), (3, 6, 4), (3, 5, 3), (6, 9, 12), (5, 9, 9))
)
def test_channels_last_is_told_about_its_size(shape):
    match = rf"^patchify: image.shape={re.escape(str(shape))} must be a multiple of "
    with pytest.raises(ValueError, match=match + r"patch_size=\(4, 4\) in height and"):
        F.patchify(np.ones(shape), 4)
    assert F.pad_image(np.ones(shape), 4).image.shape[-1] == shape[-1]


@pytest.mark.parametrize("make", (embed, embed_by_vision, embed_by_module))
@pytest.mark.parametrize(
    "shape, patch, num_patches",
    (((2, 4, 8, 4), 4, 2), ((4, 6, 12, 4), (2, 3, 4), 12)),
)
def test_as_many_rows_or_frames_as_channels(make, shape, patch, num_patches):
    function = make(np.ones(shape, np.float32), patch, -1)
    embedded = jax.eval_shape(function, jax.ShapeDtypeStruct(shape, np.float32))
    class_token = make is embed_by_vision
    assert embedded.shape[-2] == num_patches + class_token


def test_another_number_of_channels_is_told_as_that():
    embed = jitted(F.apply_patch_embedding)
    params = F.init_patch_embedding(KEY, patch_size=4, num_channels=3, d_model=4)
    for shape in ((8, 12, 4), (4, 8, 12), (8, 8, 8)):
        with pytest.raises(
            ValueError, match=r"^apply_patch_embedding: params.weight.shape=.* m"
        ):
            embed(params, np.ones(shape, np.float32), patch_size=4)
    module = nn.PatchEmbedding(image_size=(8, 12), **sizes(4), key=KEY)
    with pytest.raises(
        ValueError, match=r"image.shape=\(12, 8, 3\) must end in \(8, 12"
    ):
        module(host.ones((12, 8, 3)))
