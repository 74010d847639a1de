import re

import host
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F
from conformance.embeddings import patch_kernels
from conformance.embeddings.records import load

LENGTHS = {"T": 2, "H": 4, "W": 3, "I": 5, "O": 7}
LAYOUTS = (
    *("HWIO", "OIHW", "THWIO", "OITHW"),
    *("O(HWI)", "O(IHW)", "O(THWI)", "O(ITHW)"),
)
RECORDS = load("patch_kernels")
weight_from_kernel = jitted(F.patch_weight_from_kernel)
kernel_from_weight = jitted(F.patch_kernel_from_weight)
patchify = jitted(F.patchify)
embed = jitted(F.apply_patch_embedding)


def normal(*shape):
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def letters(layout):
    return layout.replace("(", "").replace(")", "")


def pixels(layout):
    return tuple(LENGTHS[axis] for axis in "THW" if axis in layout)


def kernel_shape(layout):
    shape = [LENGTHS[axis] for axis in letters(layout)]
    return (7, int(np.prod(shape[1:]))) if "(" in layout else tuple(shape)


def weight_by_loops(kernel, layout):
    """Every number of the kernel, by its frame, row, column, channel and feature."""
    axes = letters(layout)
    full = np.asarray(kernel).reshape([LENGTHS[axis] for axis in axes])
    sizes = {axis: LENGTHS[axis] for axis in "THWIO" if axis in axes}
    weight = np.empty((full.size // 7, 7), full.dtype)
    for row, index in enumerate(np.ndindex(*list(sizes.values())[:-1])):
        for feature in range(7):
            where = dict(zip(sizes, (*index, feature), strict=True))
            weight[row, feature] = full[tuple(where[axis] for axis in axes)]
    return weight


@pytest.mark.parametrize("layout", LAYOUTS)
@given(data=st.data(), dtype=ax.dtypes)
def test_kernels_go_there_and_back(layout, data, dtype):
    kernel = data.draw(ax.floats(kernel_shape(layout), dtype))
    weight = weight_from_kernel(kernel, layout, pixels(layout))
    assert_same_bits(weight, weight_by_loops(kernel, layout))
    back = kernel_from_weight(weight, layout, pixels(layout))
    assert_same_bits(back, kernel)
    if "(" not in layout:
        assert_same_bits(F.patch_weight_from_kernel(np.asarray(kernel), layout), weight)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", (np.float64, np.float16, ml_dtypes.bfloat16))
def test_arrays_of_numpy_stay_what_they_are(layout, dtype):
    numbers = np.random.default_rng(0).standard_normal(kernel_shape(layout))
    kernel = numbers.astype(dtype)
    kernel.flat[:3] = np.nan, np.inf, -0.0
    weight = F.patch_weight_from_kernel(kernel, layout, pixels(layout))
    back = F.patch_kernel_from_weight(weight, layout, pixels(layout))
    for array, source in ((weight, kernel), (back, weight)):
        assert type(array) is np.ndarray
        # Writers of files take the bytes as they lie.
        assert array.flags.c_contiguous
        # Whoever changes one must not change the other.
        assert not np.shares_memory(array, source)
    assert_same_bits(weight, weight_by_loops(kernel, layout))
    assert_same_bits(back, kernel)


@pytest.mark.parametrize("kind", (np.asarray, jnp.asarray))
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("empty", "IO")
def test_channels_and_features_may_be_none(kind, layout, empty):
    lengths = {**LENGTHS, empty: 0}
    shape = [lengths[axis] for axis in letters(layout)]
    rows = int(np.prod(pixels(layout))) * lengths["I"]
    shape = (lengths["O"], rows) if "(" in layout else tuple(shape)
    kernel = kind(np.ones(shape, np.float32))
    weight = F.patch_weight_from_kernel(kernel, layout, pixels(layout))
    assert weight.shape == (rows, lengths["O"])
    back = F.patch_kernel_from_weight(weight, layout, pixels(layout))
    assert back.shape == shape


@pytest.mark.parametrize("layout", LAYOUTS)
def test_inside_jit(layout):
    kernel = jnp.asarray(normal(*kernel_shape(layout)))
    weight = F.patch_weight_from_kernel(kernel, layout, pixels(layout))
    assert isinstance(weight, jax.Array)
    inside = weight_from_kernel(kernel, layout, pixels(layout))
    assert_same_bits(inside, weight)
    assert_same_bits(kernel_from_weight(inside, layout, pixels(layout)), kernel)


@pytest.mark.parametrize("order", ("HWC", "CHW", "THWC", "CTHW"))
def test_linear_layers_on_patches_of_their_order(order):
    layout = f"O({order.replace('C', 'I')})"
    size = pixels(layout)
    shape = {2: (8, 9, 5), 3: (6, 8, 9, 5)}[len(size)]
    image, linear = normal(2, *shape), normal(*kernel_shape(layout))
    patches = patchify(image, size, patch_order=order)
    expected = np.asarray(patches, np.float64) @ np.asarray(linear, np.float64).T
    weight = weight_from_kernel(linear, layout, size)
    params = F.PatchEmbeddingParams(weight=weight, bias=None)
    actual = embed(params, image, patch_size=size)
    # Sums of at most 120 products of normal numbers.
    assert_close(actual, expected, magnitude=120.0)


def test_a_still_image_repeated_over_frames_is_the_kernel_summed_over_them():
    image, kernel = normal(8, 9, 5), normal(*kernel_shape("OITHW"))
    params = F.PatchEmbeddingParams(
        weight=F.patch_weight_from_kernel(kernel, "OITHW"), bias=None
    )
    video = np.repeat(image[None], 2, axis=0)
    actual = embed(params, video, patch_size=(2, 4, 3))
    still = F.PatchEmbeddingParams(
        weight=F.patch_weight_from_kernel(kernel.sum(2), "OIHW"), bias=None
    )
    expected = embed(still, image, patch_size=(4, 3))
    assert_close(actual, np.asarray(expected), magnitude=120.0)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_others_made_the_same(record):
    ours = lambda arrays: patch_kernels.ours(record._replace(arrays=arrays))
    if record.options["call"] in ("resize", "embed"):
        ours = jax.jit(ours)
    actual = np.asarray(ours(record.arrays), np.float64)
    expected = record.arrays["expected"].astype(np.float64)
    assert actual.shape == expected.shape
    atol = patch_kernels.tolerance(record)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


@pytest.mark.errors
@pytest.mark.parametrize("layout", ("hwio", "OHWI", "O(HIW)", "(HWI)O"))
def test_layouts_must_be_known(layout):
    message = re.escape(f"layout='{layout}' must be 'HWIO', 'OIHW', 'THWIO', 'OITHW', ")
    with pytest.raises(ValueError, match=message):
        F.patch_weight_from_kernel(host.ones((2, 2, 3, 4)), layout)
    with pytest.raises(ValueError, match=message):
        F.patch_kernel_from_weight(host.ones((12, 4)), layout, 2)


@pytest.mark.errors
def test_kernels_must_fit_their_layout():
    there, back = F.patch_weight_from_kernel, F.patch_kernel_from_weight
    for build, message in (
        (
            lambda: back(host.ones((10, 4)), "HWIO", 2),
            r"weight.shape=\(10, 4\) must have a multiple of 2 x 2 rows",
        ),
        (
            lambda: back(host.ones((10, 4)), "OITHW", (2, 2, 1)),
            r"weight.shape=\(10, 4\) must have a multiple of 2 x 2 x 1 rows",
        ),
        (
            lambda: back(host.ones((12, 4)), "OITHW", 2),
            "patch_size=2 must have 3 axes for layout='OITHW'",
        ),
        (
            lambda: back(host.ones((12, 4)), "OIHW", (1, 2, 2)),
            r"patch_size=\(1, 2, 2\) must have 2 axes for layout='OIHW'",
        ),
        (
            lambda: there(host.ones((2, 2, 3)), "HWIO"),
            r"kernel.shape=\(2, 2, 3\) must have 4 axes",
        ),
        (
            lambda: there(host.ones((2, 2, 3, 4)), "OITHW"),
            r"kernel.shape=\(2, 2, 3, 4\) must have 5 axes",
        ),
        (
            lambda: there(host.ones((2, 5, 3, 4)), "HWIO", 2),
            r"kernel.shape=\(2, 5, 3, 4\) must have the sides of patch_size=2 for "
            "layout='HWIO'",
        ),
        (
            lambda: there(host.ones((0, 2, 3, 4)), "HWIO"),
            r"kernel.shape=\(0, 2, 3, 4\) must have sides of 1 at least",
        ),
        (
            lambda: there(host.ones((4, 12)), "O(HWI)"),
            r"patch_size must be given for layout='O\(HWI\)'",
        ),
        (
            lambda: there(host.ones((4, 12)), "O(HWI)", (1, 2, 2)),
            r"patch_size=\(1, 2, 2\) must have 2 axes for layout='O\(HWI\)'",
        ),
        (
            lambda: there(host.ones((4, 13)), "O(IHW)", 2),
            r"kernel.shape=\(4, 13\) must be \(d_model, a multiple of 2 x 2\) for",
        ),
        (
            lambda: there(host.ones((4, 3, 2, 2)), "O(IHW)", 2),
            r"kernel.shape=\(4, 3, 2, 2\) must be \(d_model",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            build()
    with refused(r"weight.shape=\(3, 2, 2\) must have a multiple of 2 x 2 rows"):
        back(host.ones((3, 2, 2)), "HWIO", 2)


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, -2, (2, 0), (1, 2, 0)))
def test_sizes_must_be_positive(size):
    message = r"patch_size=.* must be a positive integer or"
    with pytest.raises(ValueError, match=message):
        F.patch_kernel_from_weight(host.ones((4, 1)), "HWIO", size)
    with pytest.raises(ValueError, match=message):
        F.patch_weight_from_kernel(host.ones((4, 4)), "O(HWI)", size)


@pytest.mark.errors
@pytest.mark.parametrize("size", (4.5, 2.0, True, (2, 2.0), np.array([2, 2])))
def test_sizes_must_be_integers(size):
    said = re.escape(f"patch_size={size!r} must be a positive integer or (height")
    with refused(f"patch_kernel_from_weight: {said}"):
        F.patch_kernel_from_weight(host.ones((4, 1)), "HWIO", size)
    for kernel, layout in (((4, 4), "O(HWI)"), ((2, 2, 1, 4), "HWIO")):
        with refused(f"patch_weight_from_kernel: {said}"):
            F.patch_weight_from_kernel(host.ones(kernel), layout, size)
