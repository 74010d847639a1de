import itertools
import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

# Counts of patches and their sides: coprime, so that no swap goes unseen.
GRIDS = st.sampled_from(
    (((1, 1, 1), (1, 1, 1)), ((2, 1, 3), (3, 2, 5)), ((3, 2, 1), (1, 5, 4)))
)
ORDERS = {2: ("HWC", "CHW"), 3: ("THWC", "CTHW")}
patchify, unpatchify = jitted(F.patchify), jitted(F.unpatchify)


@jitted
def mapped(function, x, *sizes, axes, **options):
    """`function` under as many `vmap`s as there are `axes`."""
    apply = lambda x: function(x, *sizes, **options)
    for _ in range(axes):
        apply = jax.vmap(apply)
    return apply(x)


@jitted
def derivatives(video, cotangent, patch_size):
    """The tangent of the patches along the video, and the gradient of the video."""
    cut = lambda video: F.patchify(video, patch_size)
    pushed = jax.jvp(cut, (video,), (video,))[1]
    return pushed, jax.vjp(cut, video)[1](cotangent)[0]


@st.composite
def videos(draw, dtype=jnp.float32, batch=None):
    """A video, its `(frames, height, width)` and those of its patches."""
    grid, patch = draw(GRIDS)
    size = tuple(count * side for count, side in zip(grid, patch, strict=True))
    batch = draw(ax.batches) if batch is None else batch
    channels = draw(st.sampled_from((1, 3)))
    return draw(ax.floats((*batch, *size, channels), dtype)), size, patch


def blocks(image, patch_size, patch_order):
    """Arnab et al. 2021, section 3.2: block by block, in loops over any axes."""
    image, axes = np.asarray(image), len(patch_size)
    size = image.shape[-axes - 1 : -1]
    starts = (range(0, n, side) for n, side in zip(size, patch_size, strict=True))
    rows = []
    for start in itertools.product(*starts):
        ends = (a + side for a, side in zip(start, patch_size, strict=True))
        corner = tuple(slice(a, b) for a, b in zip(start, ends, strict=True))
        block = image[(..., *corner, slice(None))]
        if patch_order.startswith("C"):
            block = np.moveaxis(block, -1, -axes - 1)
        rows.append(block.reshape(*image.shape[: -axes - 1], -1))
    return np.stack(rows, axis=-2)


@given(data=st.data(), dtype=ax.dtypes)
def test_patches_are_the_blocks_in_row_major_order(data, dtype):
    image, _, patch_size = data.draw(ax.images(dtype))
    assert_same_bits(patchify(image, patch_size), oracles.patches(image, *patch_size))


@given(data=st.data(), dtype=st.sampled_from((np.uint8, np.int32, np.bool_)))
def test_integer_images_are_cut_as_they_are(data, dtype):
    image, size, patch_size = data.draw(ax.images())
    image = (np.asarray(image) > 0).astype(dtype)
    patches = patchify(image, patch_size)
    assert patches.dtype == dtype
    np.testing.assert_array_equal(patches, oracles.patches(image, *patch_size))
    np.testing.assert_array_equal(unpatchify(patches, size, patch_size), image)


@given(data=st.data(), dtype=ax.dtypes, whole=st.booleans())
def test_unpatchify_inverts_patchify_both_ways(data, dtype, whole):
    image, size, patch_size = data.draw(ax.images(dtype))
    patches = patchify(image, patch_size)
    size = image.shape if whole else size
    back = unpatchify(patches, size, patch_size)
    assert_same_bits(back, image)
    again = patchify(back, patch_size)
    assert_same_bits(again, patches)


@given(
    data=st.data(),
    dtype=ax.dtypes,
    num_axes=st.sampled_from((2, 3)),
    whole=st.booleans(),
)
def test_orders_of_patches_of_images_and_videos(data, dtype, num_axes, whole):
    drawn = data.draw(ax.images(dtype) if num_axes == 2 else videos(dtype))
    image, size, patch_size = drawn
    for order in ORDERS[num_axes]:
        patches = patchify(image, patch_size, patch_order=order)
        assert_same_bits(patches, blocks(image, patch_size, order))
        image_size = image.shape if whole else size
        back = unpatchify(patches, image_size, patch_size, patch_order=order)
        assert_same_bits(back, image)
    image = np.asarray(image)
    default = F.patchify(image, patch_size)
    assert_same_bits(default, blocks(image, patch_size, ORDERS[num_axes][0]))
    assert_same_bits(F.unpatchify(default, size, patch_size), image)


def test_patches_of_one_frame_are_those_of_its_frames():
    video = host.arange(5 * 4 * 6 * 3).reshape(5, 4, 6, 3)
    expected = F.patchify(video, (2, 3)).reshape(5 * 4, 18)
    assert_same_bits(F.patchify(video, (1, 2, 3)), expected)


def test_channels_first_is_the_order_of_images_with_channels_first():
    image = np.arange(4 * 6 * 3).reshape(4, 6, 3)
    patches = F.patchify(jnp.asarray(image), (4, 6), patch_order="CHW")
    np.testing.assert_array_equal(patches[0], image.transpose(2, 0, 1).ravel())


@given(data=st.data(), order=st.sampled_from(ORDERS[3]))
def test_batch_equals_vmap_for_videos(data, order):
    video, size, patch_size = data.draw(videos(batch=(2, 3)))
    patches = patchify(video, patch_size, patch_order=order)
    arguments = F.patchify, video, patch_size
    assert_same_bits(mapped(*arguments, axes=2, patch_order=order), patches)
    arguments = F.unpatchify, patches, size, patch_size
    assert_same_bits(mapped(*arguments, axes=1, patch_order=order), video)


@given(data=st.data())
def test_the_gradient_is_the_inverse_and_forward_mode_is_linear(data):
    video, _, patch_size = data.draw(videos(batch=(2,)))
    patches = patchify(video, patch_size)
    pushed, gradient = derivatives(video, patches, patch_size)
    assert_same_bits(gradient, video)
    assert_same_bits(pushed, patches)


def test_square_sizes_as_numbers():
    image = host.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3)
    patches = F.patchify(image, 2)
    assert_same_bits(patches, F.patchify(image, (2, 2)))
    for arguments in ((6, 2), ((6, 6), 2), (image.shape,), (image.shape, 2)):
        assert_same_bits(F.unpatchify(patches, *arguments), image)


def test_a_whole_shape_may_be_a_list():
    image = host.arange(4 * 6 * 3).reshape(4, 6, 3)
    patches = F.patchify(image, 2)
    assert_same_bits(F.unpatchify(patches, [4, 6, 3], 2), image)
    assert_same_bits(F.unpatchify(patches, [4, 6], 2), image)
    stack = host.arange(2 * 4 * 6 * 3).reshape(2, 4, 6, 3)
    assert_same_bits(F.unpatchify(F.patchify(stack, 2), [2, 4, 6, 3]), stack)


# The last two are laid out as their patches are, one of all and one row by row.
@pytest.mark.parametrize("dtype", (np.uint8, np.float64, jnp.bfloat16))
@pytest.mark.parametrize("patch_size", ((2, 3), (1, 2, 3), (4, 6), (1, 6)))
def test_arrays_of_numpy_stay_on_the_host_and_share_no_memory(dtype, patch_size):
    image = np.arange(5 * 4 * 6 * 3).reshape(5, 4, 6, 3).astype(dtype)
    order = ORDERS[len(patch_size)][0]
    patches = F.patchify(image, patch_size)
    back = F.unpatchify(patches, image.shape, patch_size)
    assert_same_bits(patches, blocks(image, patch_size, order))
    assert_same_bits(back, image)
    for array, source in ((patches, image), (back, patches)):
        assert type(array) is np.ndarray and array.flags.c_contiguous
        assert not np.shares_memory(array, source)


@pytest.mark.parametrize("kind", (np.asarray, jnp.asarray))
def test_batches_and_channels_may_be_empty(kind):
    for shape in ((0, 4, 6, 3), (2, 4, 6, 0)):
        image = kind(np.ones(shape, np.float32))
        patches = F.patchify(image, (2, 3))
        assert patches.shape == (shape[0], 4, 6 * shape[-1])
        assert_same_bits(F.unpatchify(patches, shape, (2, 3)), image)


@given(data=st.data())
def test_batch_equals_vmap(data):
    image, size, patch_size = data.draw(ax.images(batch=(2, 3)))
    patches = patchify(image, patch_size)
    assert_same_bits(mapped(F.patchify, image, patch_size, axes=1), patches)
    back = mapped(F.unpatchify, patches, size, patch_size, axes=1)
    assert_same_bits(back, image)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    shape = (4, 2, 4, 6, 3)
    image = np.random.default_rng(0).standard_normal(shape, np.float32)
    plain = F.patchify(image, (2, 3))
    with jax.set_mesh(mesh):
        spread = NamedSharding(mesh, P("a", "b"))
        image = jax.device_put(image, spread)
        patches = jax.jit(lambda x: F.patchify(x, (2, 3)))(image)
        assert_same_bits(patches, plain)
        assert patches.sharding.is_equivalent_to(spread, 4)
        back = jax.jit(lambda x: F.unpatchify(x, (4, 6), (2, 3)))(patches)
        assert_same_bits(back, image)
        assert back.sharding.is_equivalent_to(spread, 5)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("order", ORDERS[3])
def test_sharded_batch_of_videos(axis_type, order):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    shape = (4, 2, 3, 4, 6, 5)
    video = np.random.default_rng(0).standard_normal(shape, np.float32)
    cut = lambda x: F.patchify(x, (3, 2, 3), patch_order=order)
    put = lambda x: F.unpatchify(x, (3, 4, 6), (3, 2, 3), patch_order=order)
    plain = cut(video)
    with jax.set_mesh(mesh):
        spread = NamedSharding(mesh, P("a", "b"))
        video = jax.device_put(video, spread)
        patches = jax.jit(cut)(video)
        assert_same_bits(patches, plain)
        assert patches.sharding.is_equivalent_to(spread, 4)
        back = jax.jit(put)(patches)
        assert_same_bits(back, video)
        assert back.sharding.is_equivalent_to(spread, 6)


@pytest.mark.errors
def test_orders_must_be_those_of_the_patch():
    video = host.ones((2, 4, 6, 3))
    for size, order, known in (
        (2, "THWC", "'HWC' or 'CHW' for patches of 2 axes"),
        (2, "hwc", "'HWC' or 'CHW'"),
        ((1, 2, 3), "HWC", "'THWC' or 'CTHW' for patches of 3 axes"),
        ((1, 2, 3), "CHW", "'THWC' or 'CTHW'"),
    ):
        message = f"patch_order='{order}' must be {known}"
        with pytest.raises(ValueError, match=f"patchify: {message}"):
            F.patchify(video, size, patch_order=order)
        with pytest.raises(ValueError, match=f"unpatchify: {message}"):
            patches = F.patchify(video, size)
            F.unpatchify(patches, video.shape, size, patch_order=order)


@pytest.mark.errors
def test_videos_must_fit_their_patches():
    message = (
        r"image.shape=\(5, 4, 6, 3\) must be a multiple of patch_size=\(2, 2, 3\) in "
        "frames, height and width"
    )
    with pytest.raises(ValueError, match=message):
        F.patchify(host.ones((5, 4, 6, 3)), (2, 2, 3))
    message = (
        r"image.shape=\(4, 6, 3\) must be \(..., frames, height, width, channels\)"
    )
    with refused(message):
        F.patchify(host.ones((4, 6, 3)), (1, 2, 3))
    patches = host.ones((4, 36))
    message = r"image_size=\(4, 6\) must have the axes of patch_size=\(2, 2, 3\)"
    with pytest.raises(ValueError, match=message):
        F.unpatchify(patches, (4, 6), (2, 2, 3))
    message = r"must be 8 patches of 2 x 2 x 3 pixels for image_size=\(4, 4, 6\)"
    with pytest.raises(ValueError, match=message):
        F.unpatchify(patches, (4, 4, 6), (2, 2, 3))
    with pytest.raises(ValueError, match="must be a positive integer or"):
        F.patchify(host.ones((2, 2, 2, 2, 1)), (1, 1, 1, 1))
    with pytest.raises(ValueError, match=r"patch_size=\(0, 2, 2\) must be a pos"):
        F.patchify(host.ones((2, 2, 2, 1)), (0, 2, 2))


@pytest.mark.errors
def test_images_must_be_divisible():
    message = (
        r"image.shape=\(6, 9, 3\) must be a multiple of patch_size=\(4, 4\) .*; pad"
    )
    with pytest.raises(ValueError, match=message):
        F.patchify(host.ones((6, 9, 3)), 4)
    message = r"image.shape=\(2, 6, 9, 3\) must be a multiple of patch_size=\(3, 2\)"
    with pytest.raises(ValueError, match=message):
        F.patchify(host.ones((2, 6, 9, 3)), (3, 2))


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, -2, (2, 0)))
def test_sizes_must_be_positive(size):
    with pytest.raises(
        ValueError, match=r"patch_size=.* must be a positive integer or"
    ):
        F.patchify(host.ones((4, 4, 1)), size)
    for shape in ((0, 4, 1), (4, 0, 1)):
        with pytest.raises(ValueError, match=r"image.shape=.* must be"):
            F.patchify(host.ones(shape), 2)


@pytest.mark.errors
@pytest.mark.parametrize("size", (4.5, 4.0, True, "4", (2, 2.0), (2, True)))
def test_sizes_must_be_integers(size):
    said = re.escape(f"patch_size={size!r} must be a positive integer or (height")
    with refused(f"patchify: {said}"):
        F.patchify(host.ones((4, 4, 1)), size)
    with refused(f"unpatchify: {said}"):
        F.unpatchify(host.ones((4, 4)), 4, size)


@pytest.mark.errors
def test_arrays_are_no_sizes():
    said = r"patch_size=array\(\[2, 2\]\) must be a positive integer or \(height"
    with refused(f"patchify: {said}"):
        F.patchify(host.ones((4, 4, 1)), np.array([2, 2]))
    with refused(r"unpatchify: image_size=array\(\[4, 4, 1\]\) must be a positive"):
        F.unpatchify(host.ones((4, 4)), np.array([4, 4, 1]), 2)


@pytest.mark.errors
def test_sharded_pixels_are_refused():
    mesh = jax.make_mesh((2,), ("a",), axis_types=(AxisType.Explicit,))
    image = jax.device_put(host.ones((4, 4, 3)), NamedSharding(mesh, P("a")))
    with pytest.raises(ValueError, match=r"image have .*'a'.* must not be sharded"):
        F.patchify(image, 2)
    patches = jax.device_put(host.ones((4, 12)), NamedSharding(mesh, P("a")))
    with pytest.raises(ValueError, match=r"patches have .*'a'.* must not be sharded"):
        F.unpatchify(patches, 4, 2)
    video = jax.device_put(host.ones((4, 4, 4, 3)), NamedSharding(mesh, P("a")))
    with pytest.raises(ValueError, match=r"the last 4 axes of image have .*'a'"):
        F.patchify(video, (2, 2, 2))


@pytest.mark.errors
def test_images_must_have_three_axes():
    with refused(r"image.shape=\(4, 4\) must be \(..., height, width, channels\)"):
        F.patchify(host.ones((4, 4)), 2)
    with refused(r"patches.shape=\(4,\) must be \(..., num_patches, patch_dim\)"):
        F.unpatchify(host.ones((4,)), 2, 2)


@pytest.mark.errors
def test_patches_must_fit_the_image():
    patches = host.ones((6, 12))
    for arguments, message in (
        (((4, 4), 2), r"must be 4 patches of 2 x 2 pixels for image_size=\(4, 4\)"),
        (((4, 6), (2, 1)), "must be 12 patches of 2 x 1"),
        (((9, 10), (3, 5)), "must be 6 patches of 3 x 5"),
        (((4, 6, 4), 2), "must be 6 patches of 2 x 2"),
        (((9, 7, 4, 6, 3), 2), r"must start with \(9, 7\), the batch of"),
        (((5, 6), 2), r"image_size=\(5, 6\) must be a multiple of patch_size=\(2, 2\)"),
        (((4, 6),), "patch_size must be given for patch_dim=12 and channels=None"),
        (((4, 6, 5),), "patch_size must be given for patch_dim=12 and channels=5"),
        (((4, 6, 0),), "patch_size must be given for patch_dim=12 and channels=0"),
        (((4, 6, -3),), "patch_size must be given for patch_dim=12 and channels=-3"),
        (((4, 6, True), 2), r"image_size=\(4, 6, True\) must be integers"),
    ):
        with pytest.raises(ValueError, match=f"unpatchify: .*{message}"):
            F.unpatchify(patches, *arguments)
    for size in ((4, 6, 3.0), [4, 6, 3.0]):
        with refused(r"unpatchify: image_size=\(4, 6, 3.0\) must be integers"):
            F.unpatchify(patches, size, 2)
