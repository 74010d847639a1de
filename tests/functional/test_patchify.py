import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_same_bits, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F


@given(data=st.data(), dtype=ax.dtypes)
def test_patches_are_the_blocks_in_row_major_order(data, dtype):
    image, _, patch_size = data.draw(ax.images(dtype))
    assert_same_bits(F.patchify(image, patch_size), oracles.patches(image, *patch_size))


@given(data=st.data(), dtype=st.sampled_from((np.uint8, np.int32, np.bool_)))
def test_integer_images_are_cut_as_they_are(data, dtype):
    image, size, patch_size = data.draw(ax.images())
    image = (np.asarray(image) > 0).astype(dtype)
    patches = F.patchify(jnp.asarray(image), patch_size)
    assert patches.dtype == dtype
    np.testing.assert_array_equal(patches, oracles.patches(image, *patch_size))
    np.testing.assert_array_equal(F.unpatchify(patches, size, patch_size), image)


@given(data=st.data(), dtype=ax.dtypes)
def test_unpatchify_inverts_patchify_both_ways(data, dtype):
    image, size, patch_size = data.draw(ax.images(dtype))
    patches = F.patchify(image, patch_size)
    for image_size in (size, image.shape):
        assert_same_bits(F.unpatchify(patches, image_size, patch_size), image)
    again = F.patchify(F.unpatchify(patches, size, patch_size), patch_size)
    assert_same_bits(again, patches)


def test_square_sizes_as_numbers():
    image = jnp.arange(2 * 6 * 6 * 3).reshape(2, 6, 6, 3)
    patches = F.patchify(image, 2)
    assert_same_bits(patches, F.patchify(image, (2, 2)))
    for arguments in ((6, 2), ((6, 6), 2), (image.shape,), (image.shape, 2)):
        assert_same_bits(F.unpatchify(patches, *arguments), image)


@given(data=st.data())
def test_batch_equals_vmap(data):
    image, size, patch_size = data.draw(ax.images(batch=(2, 3)))
    cut = lambda image: F.patchify(image, patch_size)
    patches = cut(image)
    assert_same_bits(jax.vmap(cut)(image), patches)
    put = lambda patches: F.unpatchify(patches, size, patch_size)
    assert_same_bits(jax.vmap(put)(patches), image)


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    image = jax.random.normal(jax.random.key(0), (4, 2, 4, 6, 3))
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


@pytest.mark.errors
def test_images_must_be_divisible():
    message = r"image_size=\(6, 9\) must be a multiple of patch_size=4; pad or"
    with pytest.raises(ValueError, match=message):
        F.patchify(jnp.ones((6, 9, 3)), 4)
    message = r"image_size=\(6, 9\) must be a multiple of patch_size=\(3, 2\)"
    with pytest.raises(ValueError, match=message):
        F.patchify(jnp.ones((2, 6, 9, 3)), (3, 2))


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, -2, (2, 0)))
def test_sizes_must_be_positive(size):
    with pytest.raises(
        ValueError, match=r"patch_size=.* must be positive: a number or"
    ):
        F.patchify(jnp.ones((4, 4, 1)), size)
    for shape in ((0, 4, 1), (4, 0, 1)):
        with pytest.raises(ValueError, match=r"image_size=.* must be positive"):
            F.patchify(jnp.ones(shape), 2)


@pytest.mark.errors
def test_sharded_pixels_are_refused():
    mesh = jax.make_mesh((2,), ("a",), axis_types=(AxisType.Explicit,))
    image = jax.device_put(jnp.ones((4, 4, 3)), NamedSharding(mesh, P("a")))
    with pytest.raises(ValueError, match=r"image have .*'a'.* must not be sharded"):
        F.patchify(image, 2)
    patches = jax.device_put(jnp.ones((4, 12)), NamedSharding(mesh, P("a")))
    with pytest.raises(ValueError, match=r"patches have .*'a'.* must not be sharded"):
        F.unpatchify(patches, 4, 2)


@pytest.mark.errors
def test_images_must_have_three_axes():
    with refused(r"image.shape=\(4, 4\) must be \(..., height, width, channels\)"):
        F.patchify(jnp.ones((4, 4)), 2)
    with refused(r"patches.shape=\(4,\) must be \(..., patches, dim\)"):
        F.unpatchify(jnp.ones((4,)), 2, 2)


@pytest.mark.errors
def test_patches_must_fit_the_image():
    patches = jnp.ones((6, 12))
    for arguments, message in (
        (((4, 4), 2), r"must be 4 patches of 2 x 2 pixels for image_size=\(4, 4\)"),
        (((4, 6), (2, 1)), "must be 12 patches of 2 x 1"),
        (((9, 10), (3, 5)), "must be 6 patches of 3 x 5"),
        (((4, 6, 4), 2), "must be 6 patches of 2 x 2"),
        (((9, 7, 4, 6, 3), 2), r"must start with \(9, 7\), the batch of"),
        (((5, 6), 2), "must be a multiple of patch_size=2"),
        (((4, 6),), "patch_size must be given for patch_dim=12 and channels=None"),
        (((4, 6, 5),), "patch_size must be given for patch_dim=12 and channels=5"),
    ):
        with pytest.raises(ValueError, match=message):
            F.unpatchify(patches, *arguments)
