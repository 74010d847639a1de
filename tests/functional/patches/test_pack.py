import math

import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st

import attnax.functional as F

PATCH = (2, 3)
GRIDS = ((2, 3), (1, 1), (3, 2), (1, 6))
pack_patches = jitted(F.pack_patches)
project = jitted(F.apply_patch_projection)


def unpack_patches(packed, *args, **options):
    """Inside `jit`, of which grids and masks stay outside."""
    unpack = lambda patches: F.unpack_patches(
        packed._replace(patches=patches), *args, **options
    )
    return jax.jit(unpack)(packed.patches)


def images(dtype=np.float32, grids=GRIDS, channels=2):
    rng = np.random.default_rng(0)
    shapes = [(rows * 2, columns * 3, channels) for rows, columns in grids]
    return [rng.integers(1, 250, shape).astype(dtype) for shape in shapes]


def packed_by_loops(pictures, max_patches, order="HWC"):
    """Image by image and patch by patch."""
    channels = pictures[0].shape[-1]
    patches = np.zeros((len(pictures), max_patches, 6 * channels), pictures[0].dtype)
    coordinates = np.zeros((len(pictures), max_patches, 2), np.int32)
    mask = np.zeros((len(pictures), max_patches), bool)
    grids = np.zeros((len(pictures), 2), np.int32)
    for i, picture in enumerate(pictures):
        grids[i] = picture.shape[0] // 2, picture.shape[1] // 3
        n = 0
        for row in range(grids[i, 0]):
            for column in range(grids[i, 1]):
                block = picture[2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
                block = block.transpose(2, 0, 1) if order == "CHW" else block
                patches[i, n] = block.ravel()
                coordinates[i, n] = row, column
                mask[i, n] = True
                n += 1
    return patches, coordinates, mask, grids


@pytest.mark.parametrize("kind", (np.asarray, jnp.asarray))
@pytest.mark.parametrize("dtype", (np.uint8, np.float32, jnp.bfloat16))
@pytest.mark.parametrize("order", (None, "CHW"))
@pytest.mark.parametrize("max_patches", (6, 9))
def test_rows_are_the_patches_of_each_image(kind, dtype, order, max_patches):
    pictures = [kind(image) for image in images(dtype)]
    pack, unpack = (
        (F.pack_patches, F.unpack_patches)
        if kind is np.asarray
        else (pack_patches, unpack_patches)
    )
    packed = pack(pictures, PATCH, max_patches, patch_order=order)
    expected = packed_by_loops(images(dtype), max_patches, order)
    assert isinstance(packed, F.PackedPatches)
    for actual, wanted in zip(packed, expected, strict=True):
        assert isinstance(actual, np.ndarray) == (kind is np.asarray)
        assert_same_bits(actual, wanted)
    back = unpack(packed, PATCH, patch_order=order)
    for actual, wanted in zip(back, pictures, strict=True):
        assert type(actual) is type(wanted)
        assert_same_bits(actual, wanted)
        if kind is np.asarray:
            assert not np.shares_memory(actual, packed.patches)


def test_one_image_of_one_patch_and_mixed_kinds():
    picture = np.ones((2, 2, 1), np.float32)
    packed = F.pack_patches([picture], 2, 1)
    assert_same_bits(packed.patches, picture.reshape(1, 1, 4))
    assert_same_bits(packed.mask, np.array([[True]]))
    mixed = F.pack_patches([picture, jnp.asarray(picture)], 2, 3)
    assert all(isinstance(array, jax.Array) for array in mixed)
    assert_same_bits(mixed.grids, np.array([[1, 1], [1, 1]], np.int32))


def test_coordinates_are_those_of_the_grid():
    packed = F.pack_patches(images(), PATCH, 9)
    for row, grid in zip(packed.coordinates, GRIDS, strict=True):
        assert_same_bits(row[: math.prod(grid)], F.positions_from_grid(grid))


def test_inside_jit_with_gradients():
    pictures = [jnp.asarray(image) for image in images()]
    expected = F.pack_patches(pictures, PATCH, 9)
    inside = pack_patches(pictures, PATCH, 9)
    for actual, wanted in zip(inside, expected, strict=True):
        assert isinstance(wanted, jax.Array)
        assert_same_bits(actual, wanted)
    pack = lambda pictures: F.pack_patches(pictures, PATCH, 9).patches
    gradient = jax.jit(lambda p, out: jax.vjp(pack, p)[1](out)[0])
    for actual, wanted in zip(
        gradient(pictures, inside.patches), pictures, strict=True
    ):
        assert_same_bits(actual, wanted)
    # Patches may be traced where grids are known.
    for unpack in (F.unpack_patches, unpack_patches):
        for actual, wanted in zip(unpack(expected, PATCH), pictures, strict=True):
            assert_same_bits(actual, wanted)


def test_projection_of_a_packed_batch_is_that_of_its_images():
    pictures = [image / np.float32(250) for image in images()]
    packed = F.pack_patches(pictures, PATCH, 7)
    weight = np.random.default_rng(0).standard_normal((12, 5), np.float32) / 12**0.5
    params = F.PatchEmbeddingParams(weight=weight, bias=np.arange(5, dtype=np.float32))
    embedded = np.asarray(project(params, packed.patches))
    assert embedded.shape == (4, 7, 5)
    for row, mask, picture in zip(embedded, packed.mask, pictures, strict=True):
        expected = oracles.patches(picture, *PATCH) @ np.asarray(params.weight)
        expected = expected + np.asarray(params.bias)
        assert_close(row[: len(expected)], expected, magnitude=16.0)
        padding = np.broadcast_to(params.bias, (7 - len(expected), 5))
        np.testing.assert_array_equal(row[~np.asarray(mask)], padding)


@pytest.mark.parametrize("dtype", (np.float32, np.float64))
def test_batches_packed_on_the_host_are_embedded(dtype):
    # Warnings are errors here: nothing may be cut to float32 with one.
    packed = jax.device_put(F.pack_patches(images(dtype), PATCH, 7))
    assert isinstance(packed, F.PackedPatches)
    params = F.init_patch_embedding(
        jax.random.key(0), patch_size=PATCH, num_channels=2, d_model=5
    )
    expected = jnp.stack([jnp.asarray(p) for p in packed_by_loops(images(dtype), 7)[0]])
    assert_same_bits(packed.patches, expected)
    embedded = F.apply_patch_projection(params, packed.patches)
    assert embedded.dtype == host.asarray(np.ones(1, dtype)).dtype
    assert_same_bits(embedded, F.apply_patch_projection(params, expected))


def test_images_of_one_row_or_column_share_no_memory():
    # Their patches lie as they lay.
    picture = np.ones((2, 3, 2), np.float32)
    packed = F.pack_patches([picture], PATCH, 1)
    assert not np.shares_memory(packed.patches, picture)
    (back,) = F.unpack_patches(packed, PATCH)
    assert not np.shares_memory(back, packed.patches)
    assert_same_bits(back, picture)


def test_masks_may_be_traced_where_grids_are_known():
    packed = F.pack_patches([jnp.asarray(image) for image in images()], PATCH, 9)
    unpack = lambda mask: F.unpack_patches(packed._replace(mask=mask), PATCH)
    for actual, wanted in zip(jax.jit(unpack)(packed.mask), images(), strict=True):
        assert_same_bits(actual, wanted)


def largest_scale_by_counting(size, patch, max_patches):
    """The grid of the largest scale that fits, in integers, without a search.

    A side has `k` patches up to the scale `k * patch / size`, which is where it jumps.
    """
    best = (1, 1)
    for side, step in zip(size, patch, strict=True):
        for k in range(1, max_patches + 1):
            # ceil(scale * size / patch) of both at scale = k * step / side.
            grid = tuple(
                max(1, -(-(k * step * n) // (side * s)))
                for n, s in zip(size, patch, strict=True)
            )
            if math.prod(grid) <= max_patches and math.prod(grid) > math.prod(best):
                best = grid
    return best


@given(
    size=st.tuples(st.integers(32, 900), st.integers(32, 900)),
    patch=st.sampled_from(((16, 16), (14, 14), (3, 5))),
    max_patches=st.sampled_from((1, 7, 64, 256)),
)
def test_sizes_are_the_largest_that_fit(size, patch, max_patches):
    height, width = F.image_size_for_max_patches(size, patch, max_patches)
    assert height % patch[0] == width % patch[1] == 0
    grid = height // patch[0], width // patch[1]
    assert 1 <= math.prod(grid) <= max_patches
    best = largest_scale_by_counting(size, patch, max_patches)
    if grid != best:
        # The search stops within 1e-5 of the scale: a side that jumps there is missed.
        scale = min(g * s / n for g, s, n in zip(best, patch, size, strict=True))
        late = [
            math.ceil(n * (scale - 1.1e-5) / s)
            for n, s in zip(size, patch, strict=True)
        ]
        assert all(a <= b <= c for a, b, c in zip(late, grid, best, strict=True))


def test_sizes_at_the_ends_of_the_search():
    assert F.image_size_for_max_patches(1, 1, 1) == (1, 1)
    # No image grows more than a hundredfold, none falls below a patch.
    assert F.image_size_for_max_patches(1, 16, 256) == (112, 112)
    assert F.image_size_for_max_patches((10, 100_000), 16, 64) == (16, 1024)
    assert F.image_size_for_max_patches(224, 16, 196) == (224, 224)


@pytest.mark.errors
def test_images_must_fit_the_batch():
    pictures = images()
    for given_images, options, message in (
        (pictures, (PATCH, 5), r"images\[0\] has 6 patches, 1 more than max_patches=5"),
        (pictures, (PATCH, 0), "max_patches=0 must be a positive integer"),
        (pictures, (PATCH, 6.0), "max_patches=6.0 must be a positive integer"),
        (pictures, (PATCH, True), "max_patches=True must be a positive integer"),
        (pictures, (2.0, 9), "patch_size=2.0 must be a positive integer or"),
        (pictures, (0, 9), "patch_size=0 must be a positive integer or"),
        (
            pictures,
            ((1, 2, 3), 9),
            r"patch_size=\(1, 2, 3\) must be a positive integer",
        ),
        ([], (PATCH, 9), r"images=\[\] must hold an image at least"),
        (
            [*pictures, np.ones((5, 6, 2), np.float32)],
            (PATCH, 9),
            r"images\[4\].shape=\(5, 6, 2\) must be a multiple of patch_size=\(2, 3",
        ),
        (
            [*pictures, np.ones((2, 3, 3), np.float32)],
            (PATCH, 9),
            r"images\[4\].shape=\(2, 3, 3\) must be \(height, width, 2\)",
        ),
        (
            [*pictures, np.ones((2, 3, 2), np.uint8)],
            (PATCH, 9),
            r"images\[4\].dtype=uint8 must be float32, that of images\[0\]",
        ),
    ):
        with refused(f"pack_patches: {message}"):
            F.pack_patches(given_images, *options)
    message = r"patch_order='THWC' must be 'HWC' or 'CHW'"
    with pytest.raises(ValueError, match=message):
        F.pack_patches(pictures, PATCH, 9, patch_order="THWC")


@pytest.mark.errors
def test_packed_patches_must_fit_their_grids():
    packed = F.pack_patches(images(), PATCH, 6)
    with pytest.raises(
        ValueError, match=r"packed.grids must not be traced; pass NumPy"
    ):
        jax.jit(lambda packed: F.unpack_patches(packed, PATCH))(packed)
    with pytest.raises(ValueError, match=r"must be \(batch, .* a multiple of 5 x 3\)"):
        F.unpack_patches(packed, (5, 3))
    flat = packed._replace(patches=packed.patches[0])
    with pytest.raises(ValueError, match=r"shape=\(6, 12\) must be \(batch, max_pat"):
        F.unpack_patches(flat, PATCH)
    for grids in ([[2, 3], [1, 1], [3, 2], [1, 7]], [[2, 3], [0, 1], [3, 2], [1, 6]]):
        wrong = packed._replace(grids=np.array(grids, np.int32))
        with pytest.raises(ValueError, match="must be of at most 6 patches each"):
            F.unpack_patches(wrong, PATCH)
    # Sides whose product would wrap to zero.
    huge = packed._replace(grids=np.full((4, 2), 2**32))
    with pytest.raises(ValueError, match="must be of at most 6 patches each"):
        F.unpack_patches(huge, PATCH)
    for grids, said in (
        (packed.grids[:2], r"\[\[2, 3\], \[1, 1\]\]"),
        (packed.grids[0], r"\[2, 3\]"),
        (packed.grids[:, :1], r"\[\[2\], .*\]"),
        (np.ones((4, 3), np.int32), r"\[\[1, 1, 1\], .*\]"),
    ):
        wrong = packed._replace(grids=grids)
        message = rf"packed.grids={said} must be \(4, 2\) integers"
        with pytest.raises(ValueError, match=message):
            F.unpack_patches(wrong, PATCH)


@pytest.mark.errors
@pytest.mark.parametrize("kind", (np.asarray, jnp.asarray))
def test_grids_must_be_those_of_the_mask(kind):
    packed = F.pack_patches([kind(image) for image in images()], PATCH, 7)
    larger = packed._replace(grids=np.array([[2, 3], [1, 2], [3, 2], [1, 6]]))
    smaller = packed._replace(grids=np.array([[2, 2], [1, 1], [3, 2], [1, 6]]))
    shifted = packed._replace(mask=np.roll(packed.mask, 1, axis=1))
    message = (
        r"must have their patches where packed.mask has them; it has \[6, 1, 6, 6\]"
    )
    for wrong in (larger, smaller, shifted):
        with pytest.raises(ValueError, match=f"unpack_patches: .*{message}"):
            F.unpack_patches(wrong, PATCH)
    short = packed._replace(mask=packed.mask[:, :6])
    with pytest.raises(ValueError, match="must have their patches where"):
        F.unpack_patches(short, PATCH)


@pytest.mark.errors
def test_sizes_must_be_positive():
    for arguments, message in (
        ((0, 16, 256), "image_size=0 must be a positive"),
        (((32, -1), 16, 256), r"image_size=\(32, -1\) must be a positive"),
        ((32, 0, 256), "patch_size=0 must be a positive"),
        ((32, 16, 0), "max_patches=0 must be a positive"),
        ((True, 16, 256), "image_size=True must be a positive"),
        ((32, 16, True), "max_patches=True must be a positive"),
    ):
        with pytest.raises(ValueError, match=f"image_size_for_max_patches: {message}"):
            F.image_size_for_max_patches(*arguments)


@pytest.mark.errors
def test_sizes_must_be_integers():
    for arguments, message in (
        (((480, 640), 16.5, 256), "patch_size=16.5 must be a positive integer or"),
        (((480, 640), 16.0, 256), "patch_size=16.0 must be a positive integer or"),
        (((480, 640.5), 16, 256), r"image_size=\(480, 640.5\) must be a positive int"),
        (((480, 640), 16, 256.5), "max_patches=256.5 must be a positive integer"),
        ((np.array([480, 640]), 16, 256), r"image_size=array\(\[480, 640\]\) must be"),
    ):
        with refused(f"image_size_for_max_patches: {message}"):
            F.image_size_for_max_patches(*arguments)
