import host
import jax
import numpy as np
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

# Image, patch, and a larger canvas of whole patches: sides coprime, no squares.
CASES = (
    ((1, 1), (1, 1), (1, 2)),
    ((1, 1), (2, 3), (4, 3)),
    ((5, 7), (2, 3), (8, 9)),
    ((4, 9), (4, 3), (4, 12)),
    ((5, 4, 7), (2, 3, 5), (6, 9, 10)),
    ((1, 3, 2), (2, 1, 3), (2, 3, 6)),
)
cases = st.sampled_from(CASES)
pad_image = jitted(F.pad_image)


@jitted
def mapped_and_gradient(image, patch, canvas):
    """Images padded one by one, and the gradient along the padded ones."""
    pad = lambda x: F.pad_image(x, patch, padded_size=canvas).image
    out, pullback = jax.vjp(pad, image)
    return jax.vmap(pad)(image), pullback(out)[0]


def padded_by_loops(image, size, patch, canvas):
    """Pixel by pixel, and patch by patch whether any pixel of it is real."""
    image, axes = np.asarray(image), len(size)
    batch, channels = image.shape[: -axes - 1], image.shape[-1]
    out = np.zeros((*batch, *canvas, channels), image.dtype)
    real = np.zeros(canvas, bool)
    for index in np.ndindex(*size):
        out[(..., *index, slice(None))] = image[(..., *index, slice(None))]
        real[index] = True
    grid = [n // side for n, side in zip(canvas, patch, strict=True)]
    holds = []
    for where in np.ndindex(*grid):
        corner = zip(where, patch, strict=True)
        block = tuple(slice(i * side, (i + 1) * side) for i, side in corner)
        holds.append(real[block].any())
    return out, real, np.array(holds)


@given(data=st.data(), case=cases, dtype=ax.dtypes, larger=st.booleans())
def test_zeros_are_below_and_to_the_right(data, case, dtype, larger):
    size, patch, canvas = case
    shape = (*data.draw(ax.batches), *size, data.draw(st.integers(1, 3)))
    image = data.draw(ax.floats(shape, dtype))
    if larger:
        padded = pad_image(image, patch, padded_size=canvas)
    else:
        padded = pad_image(image, patch)
        canvas = [-(-n // side) * side for n, side in zip(size, patch, strict=True)]
    expected = padded_by_loops(image, size, patch, canvas)
    assert isinstance(padded, F.PaddedImage)
    for actual, wanted in zip(padded, expected, strict=True):
        assert_same_bits(actual, wanted)
    patches = F.patchify(np.asarray(padded.image), patch)
    assert patches.shape[-2:-1] == padded.patch_mask.shape
    assert not np.asarray(patches, np.float32)[..., ~padded.patch_mask, :].any()


@pytest.mark.parametrize("dtype", (np.uint8, np.float64))
def test_arrays_of_numpy_stay_on_the_host(dtype):
    image = (np.arange(2 * 5 * 7 * 3) % 251).reshape(2, 5, 7, 3).astype(dtype)
    padded = F.pad_image(image, (2, 3), padded_size=(8, 9))
    expected = padded_by_loops(image, (5, 7), (2, 3), (8, 9))
    for actual, wanted in zip(padded, expected, strict=True):
        assert type(actual) is np.ndarray
        assert_same_bits(actual, wanted)


def test_full_arrays_of_numpy_share_no_memory():
    image = np.ones((4, 9, 3), np.float32)
    for padded in (
        F.pad_image(image, (2, 3)),
        F.pad_image(image, 1, padded_size=(4, 9)),
    ):
        assert_same_bits(padded.image, image)
        assert not np.shares_memory(padded.image, image)


def test_images_that_are_full_come_back_as_they_are():
    image = host.ones((4, 9, 3))
    padded = F.pad_image(image, (2, 3))
    assert padded.image is image
    assert padded.pixel_mask.all() and padded.patch_mask.all()
    assert F.pad_image(image, 1, padded_size=(4, 9)).image is image
    square = F.pad_image(host.ones((3, 2, 1)), 2, padded_size=4)
    assert_same_bits(square.patch_mask, np.array([True, False, True, False]))


@given(data=st.data(), case=cases)
def test_jit_vmap_and_gradients(data, case):
    size, patch, canvas = case
    image = data.draw(ax.floats((2, *size, 2)))
    padded = F.pad_image(image, patch, padded_size=canvas)
    inside = pad_image(image, patch, padded_size=canvas)
    for actual, wanted in zip(inside, padded, strict=True):
        assert isinstance(wanted, jax.Array)
        assert_same_bits(actual, wanted)
    mapped, gradient = mapped_and_gradient(image, patch, canvas)
    assert_same_bits(mapped, padded.image)
    assert_same_bits(gradient, image)


def test_real_patches_are_embedded_as_those_of_the_image():
    rng = np.random.default_rng(0)
    image = rng.standard_normal((4, 6, 3), np.float32)
    weight = rng.standard_normal((18, 5), np.float32) / 18**0.5
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    padded = F.pad_image(image, (2, 3), padded_size=(6, 9))
    apply = jitted(F.apply_patch_embedding)
    embed = lambda x: apply(params, x, patch_size=(2, 3))
    actual = np.asarray(embed(padded.image))[np.asarray(padded.patch_mask)]
    # The same products, in a matrix of another shape.
    np.testing.assert_allclose(actual, np.asarray(embed(image)), atol=18 * 2.0**-22)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2,), ("a",), axis_types=(axis_type,))
    shape = (4, 5, 7, 3)
    image = np.random.default_rng(0).standard_normal(shape, np.float32)
    plain = F.pad_image(image, (2, 3))
    with jax.set_mesh(mesh):
        spread = NamedSharding(mesh, P("a"))
        padded = jax.jit(lambda x: F.pad_image(x, (2, 3)))(
            jax.device_put(image, spread)
        )
        assert_same_bits(padded.image, plain.image)
        assert padded.image.sharding.is_equivalent_to(spread, 4)


@pytest.mark.errors
def test_sizes_are_checked():
    image = host.ones((5, 7, 3))
    for patch, padded, message in (
        ((2, 3), (6, 6), r"padded_size=\(6, 6\) must be at least \(5, 7\), the size"),
        ((2, 3), 6, r"padded_size=6 must be at least \(5, 7\)"),
        ((2, 3), (8, 10), r"padded_size=\(8, 10\) must be a multiple of patch_size=\("),
        ((2, 3), (2, 6, 9), r"padded_size=\(2, 6, 9\) must be at least \(5, 7\)"),
        ((2, 3), (0, 9), r"padded_size=\(0, 9\) must be a positive"),
        ((2, 0), None, r"patch_size=\(2, 0\) must be a positive"),
    ):
        with pytest.raises(ValueError, match=f"pad_image: {message}"):
            F.pad_image(image, patch, padded_size=padded)
    for size, said in ((2.0, "2.0"), ((2, True), r"\(2, True\)")):
        with refused(f"pad_image: patch_size={said} must be a positive integer"):
            F.pad_image(image, size)
        with refused(f"pad_image: padded_size={said} must be a positive integer"):
            F.pad_image(image, 1, padded_size=size)
    with refused(r"image.shape=\(5, 7\) must be \(..., height, width, channels\)"):
        F.pad_image(host.ones((5, 7)), 2)
    with pytest.raises(ValueError, match=r"image.shape=\(0, 7, 3\) must be"):
        F.pad_image(host.ones((0, 7, 3)), 2)
