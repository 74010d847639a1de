"""Embeddings of packed images: each is that of the image alone."""

import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from vision_embeddings import (
    BICUBIC,
    BILINEAR,
    FAMILIES,
    apply_each,
    made,
    one_packed,
    pack,
    size_of_sums,
    small,
)

import attnax.functional as F

apply_packed = jitted(F.apply_packed_vision_embedding)


def images_of(sizes, channels=2):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(*s, channels)).astype(np.float32) for s in sizes]


@pytest.mark.parametrize("resampling", (BILINEAR, *slow(BICUBIC)))
def test_packed_images_are_embedded_as_each_alone_is(resampling):
    params = {family: made(family, 2 * 2 * 2, 3 * 4) for family in FAMILIES}
    options = {"table_grid": (3, 4), "resampling": resampling}
    compiled = []

    @jax.jit
    def embed(params, *packed):
        compiled.append(packed)
        embed = lambda p: F.apply_packed_vision_embedding(
            p, F.PackedPatches(*packed), **options
        )
        return {family: embed(p) for family, p in params.items()}

    for sizes in (((6, 8), (10, 4)), ((2, 2), (4, 12))):  # traced: one compilation
        images = images_of(sizes)
        flip = lambda n: np.arange(n)[::-1]
        patches, coordinates, mask, grids = pack(images, 2, 13, order=flip)
        patches[~mask] = 7.0  # padding, whatever it holds
        coordinates[~mask] = 99
        together = embed(params, patches, coordinates, mask, grids)
        for index, (image, real) in enumerate(zip(images, mask, strict=True)):
            each = apply_each(params, image, patch_size=2, **options)
            for family, (before, after, _) in FAMILIES.items():
                alone, front = np.asarray(each[family]), before + after
                embedded = np.asarray(together[family])[index]
                flipped = np.concatenate([alone[:front], alone[front:][::-1]])
                got = embedded[: front + real.sum()]
                np.testing.assert_allclose(got, flipped, rtol=0, atol=4e-6)
                np.testing.assert_array_equal(embedded[front + real.sum() :], 0.0)
    assert len(compiled) == 1


def test_packed_patches_are_what_it_takes():
    params = made("ViT, CLIP", 2 * 2 * 2, 3 * 4)
    options = {"table_grid": (3, 4), "resampling": BILINEAR}
    images = images_of(((6, 8), (10, 4)))
    by_hand = pack(images, 2, 13)
    by_hand[1][~by_hand[2]] = 99  # no patch of any image: padding is not looked at
    assert_same_bits(
        apply_packed(params, F.pack_patches(images, 2, 13), **options),
        apply_packed(params, F.PackedPatches(*by_hand), **options),
    )


@pytest.mark.parametrize("resampling", (BILINEAR, BICUBIC))
def test_numpy_parameters_are_taken_as_jax_has_them(resampling):
    params = made("ViT, CLIP", 2 * 2 * 2, 3 * 4)
    options = {"table_grid": (3, 4), "resampling": resampling}
    batch = F.PackedPatches(*pack(images_of(((6, 8), (10, 4))), 2, 13))
    embed = lambda p: F.apply_packed_vision_embedding(p, batch, **options)
    assert_same_bits(embed(jax.tree.map(np.asarray, params)), embed(params))


def test_padding_of_packed_images_has_no_gradient():
    params = made("ViT, CLIP", 2 * 2 * 2, 3 * 4)
    patches, coordinates, mask, grids = pack(images_of(((6, 8), (2, 4))), 2, 13)
    coordinates[~mask] = 99
    options = {"table_grid": (3, 4), "resampling": BILINEAR}
    loss = lambda params, patches, coordinates: jnp.sum(
        F.apply_packed_vision_embedding(
            params, F.PackedPatches(patches, coordinates, mask, grids), **options
        )
        ** 2
    )
    gradients = jax.jit(jax.grad(loss, (0, 1)))(params, patches, coordinates)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradients))
    assert (np.abs(gradients[1]).max(-1) == 0).tolist() == (~mask).tolist()


def test_packed_batches_agree_with_vmap():
    params = made("ViT, CLIP", 2 * 2 * 2, 3 * 4)
    packed = pack(images_of(((6, 8), (2, 4))), 2, 13)
    options = {"table_grid": (3, 4), "resampling": BILINEAR}
    embed = lambda *packed: F.apply_packed_vision_embedding(
        params, F.PackedPatches(*packed), **options
    )
    assert_close(
        jax.jit(jax.vmap(embed))(*packed),
        np.asarray(apply_packed(params, F.PackedPatches(*packed), **options)),
        magnitude=size_of_sums(params),
    )


def test_packed_coordinates_outside_their_grid_are_nan():
    params = made("ViT, CLIP", 2 * 2 * 2, 3 * 4)
    patches, coordinates, mask, grids = pack(images_of(((6, 8),)), 2, 12)
    coordinates[0, 5] = 3, 0  # the fourth of three rows
    options = {"table_grid": (3, 4), "resampling": BILINEAR}
    embed = lambda *packed: F.apply_packed_vision_embedding(
        params, F.PackedPatches(*packed), **options
    )
    rows = np.isnan(jax.jit(embed)(patches, coordinates, mask, grids)).all(-1)
    assert np.flatnonzero(rows[0]).tolist() == [6]  # the class token is in front
    with pytest.raises(ValueError, match=r"coordinates.*=3 must lie in"):
        embed(jnp.asarray(patches), coordinates, mask, grids)


@pytest.mark.errors
@pytest.mark.parametrize("positions", (True, False))
def test_what_comes_with_packed_patches_must_fit(positions):
    """With a table of positions or without: the arrays of a loader are the same."""
    params = small() if positions else small(positions=None)
    patches, *arrays = one_packed()
    names = "coordinates", "mask", "grids"

    def embed(**changes):
        more = {**dict(zip(names, arrays, strict=True)), **changes}
        F.apply_packed_vision_embedding(
            params,
            F.PackedPatches(patches, **more),
            table_grid=(2, 3),
            resampling=BILINEAR,
        )

    apply_packed(
        params,
        F.PackedPatches(patches, *arrays),
        table_grid=(2, 3),
        resampling=BILINEAR,
    )
    for name, shape, wanted in (
        ("coordinates", (1, 7, 2), (1, 8, 2)),
        ("coordinates", (1, 8, 3), (1, 8, 2)),
        ("coordinates", (8, 2), (1, 8, 2)),
        ("grids", (1, 3), (1, 2)),
        ("grids", (2, 2), (1, 2)),
        ("grids", (2,), (1, 2)),
    ):
        with refused(re.escape(f"packed.{name}.shape={shape} must be {wanted}")):
            embed(**{name: np.ones(shape, np.int32)})
    for name, array in zip(names, arrays, strict=True):
        kind = "bool" if name == "mask" else "integer"
        with refused(f"packed.{name}.dtype=float32 must be {kind}"):
            embed(**{name: array.astype(np.float32)})


@pytest.mark.errors
def test_errors_name_the_fields_of_a_packed_batch():
    batch = F.pack_patches([host.ones((4, 6, 3))], 2, 6)
    for changed, message in (
        ({"grids": [[0, 3]]}, r"packed.grids\[0, 0\]=0 must lie in \[1, "),
        ({"grids": [[1, 3]]}, r"packed.coordinates\[0, 3, 0\]=1 must lie in the grid"),
        (
            {"coordinates": batch.coordinates - 1},
            r"packed.coordinates\[0, 0, 0\]=-1 must lie in \[0, ",
        ),
        (
            {"patches": batch.patches[..., 1:]},
            r"packed.patches.shape=\(1, 6, 11\) must end in 12, .*"
            r" params.patch.weight.shape=\(12, ",
        ),
    ):
        with refused(f"apply_packed_vision_embedding: {message}"):
            F.apply_packed_vision_embedding(
                small(),
                batch._replace(**changed),
                table_grid=(2, 3),
                resampling=BILINEAR,
            )
