import math
import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused, slow
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import attnax.functional as F

D_MODEL = 5
BICUBIC = F.Resampling("bicubic", antialias=False)
BILINEAR = F.Resampling("bilinear", antialias=True)
WITH_OFFSET = F.Resampling("bicubic", antialias=False, offset=0.1)
# Tokens before and after the patches, and whether there are positions.
FAMILIES = {
    "ViT, CLIP": (1, 0, True),
    "DeiT": (2, 0, True),
    "SigLIP": (0, 0, True),
    "DINOv2 with registers": (1, 4, True),
    "timm, no_embed_class": (0, 3, True),
    "DINOv3": (1, 4, False),
    "patches alone": (0, 0, False),
}
drawn_families = st.sampled_from(tuple(FAMILIES))
init = jitted(F.init_vision_embedding)
apply = jitted(F.apply_vision_embedding)
apply_packed = jitted(F.apply_packed_vision_embedding)


@jitted
def apply_each(params, image, **options):
    """The embedding for each set of parameters, of `{family: params}`."""
    embed = lambda p: F.apply_vision_embedding(p, image, **options)
    return {family: embed(p) for family, p in params.items()}


def normal(shape, dtype=jnp.float32, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def made(family, patch_dim, rows, dtype=jnp.float32):
    """Parameters of a family, as large as `init_vision_embedding` draws weights."""
    rng = np.random.default_rng(0)
    table = lambda n: (0.3 * rng.normal(size=(n, D_MODEL))).astype(dtype)
    return params_of(family, patch_dim, rows, table)


def draw_params(data, patch_dim, rows, family, dtype=jnp.float32):
    table = lambda n: data.draw(ax.floats((n, D_MODEL), dtype))
    return params_of(family, patch_dim, rows, table)


def params_of(family, patch_dim, rows, table):
    """Parameters of a family for a table of `rows` patches, from `table(rows)`."""
    before, after, positions = FAMILIES[family]
    learned = F.LearnedPositionalEmbeddingParams(table(before + rows))
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(table(patch_dim), np.asarray(table(1))[0]),
        positions=learned if positions else None,
        tokens_with_position=table(before) if before else None,
        tokens_without_position=table(after) if after else None,
        mask_token=np.asarray(table(1))[0],
    )
    return jax.device_put(params)


def draw_image(data, family, dtype=jnp.float32, batch=None):
    """An image, its params and the keyword arguments that go with them."""
    image, size, patch_size = data.draw(ax.images(dtype, batch))
    grid = tuple(s // p for s, p in zip(size, patch_size, strict=True))
    patch_dim = image.shape[-1] * patch_size[0] * patch_size[1]
    params = draw_params(data, patch_dim, grid[0] * grid[1], family, dtype)
    return params, image, {"patch_size": patch_size, "table_grid": grid}


def sequence(params, patches, rows=None, masked=None):
    """Token by token in float64; `rows` are the positions of these very patches."""
    patch, learned, before, after, mask_token = (
        jax.tree.map(lambda t: np.asarray(t, np.float64), part) for part in params
    )
    out = np.asarray(patches, np.float64) @ patch.weight + patch.bias
    if masked is not None:
        out[np.broadcast_to(masked, out.shape[:-1])] = mask_token
    if rows is not None:
        out = out + np.asarray(rows, np.float64)
    front = []
    for index, token in enumerate(() if before is None else before):
        front.append(token if learned is None else token + learned.weight[index])
    front.extend(() if after is None else after)
    tokens = [np.broadcast_to(t, (*out.shape[:-2], 1, D_MODEL)) for t in front]
    return np.concatenate([*tokens, out], axis=-2)


def rows_of_patches(params):
    """The table without the rows of the tokens in front."""
    if params.positions is None:
        return None
    before = (
        0
        if params.tokens_with_position is None
        else params.tokens_with_position.shape[0]
    )
    return np.asarray(params.positions.weight)[before:]


def size_of_sums(params):
    """Bounds the sum of magnitudes of a token, of values of size at most 8."""
    return 64.0 * params.patch.weight.shape[0] + 16.0


@given(data=st.data(), dtype=ax.dtypes, with_mask=st.booleans())
def test_tokens_are_those_of_the_family(data, dtype, with_mask):
    image, size, patch_size = data.draw(ax.images(dtype, batch=(2,)))
    grid = tuple(s // p for s, p in zip(size, patch_size, strict=True))
    patch_dim = image.shape[-1] * math.prod(patch_size)
    params = {
        family: draw_params(data, patch_dim, math.prod(grid), family, dtype)
        for family in FAMILIES
    }
    patches = oracles.patches(np.asarray(image, np.float64), *patch_size)
    masked = None
    if with_mask:
        masked = data.draw(ax.integers(patches.shape[:-1], 0, 1)).astype(bool)
    tokens = apply_each(
        params, image, masked=masked, patch_size=patch_size, table_grid=grid
    )
    for family, actual in tokens.items():
        of_family = params[family]
        assert actual.dtype == dtype
        assert_close(
            actual,
            sequence(of_family, patches, rows_of_patches(of_family), masked),
            magnitude=size_of_sums(of_family),
            roundings=patch_dim + 4,
        )


@jitted
def apply_and_resize(params, image, new_grid, resampling):
    """The tokens of an image, and the resized positions of its patches."""
    sizes = {"patch_size": (2, 3), "table_grid": (4, 3), "resampling": resampling}
    table = params.positions.weight[len(params.tokens_with_position) :]
    return (
        F.apply_vision_embedding(params, image, **sizes),
        F.resize_positions(table, (4, 3), new_grid, resampling),
    )


@pytest.mark.parametrize(
    "new_grid, family",
    (
        ((3, 5), "ViT, CLIP"),
        ((7, 2), "DINOv2 with registers"),
        ((1, 1), "ViT, CLIP"),
        ((2, 6), "DINOv2 with registers"),
    ),
)
@pytest.mark.parametrize("resampling", (BICUBIC, BILINEAR, WITH_OFFSET))
@given(data=st.data())
def test_images_of_another_grid_have_resized_positions(
    data, new_grid, family, resampling
):
    params = draw_params(data, 2 * 3 * 2, 4 * 3, family)
    image = data.draw(ax.floats((2, 2 * new_grid[0], 3 * new_grid[1], 2)))
    tokens, rows = apply_and_resize(params, image, new_grid, resampling)
    assert_close(
        tokens,
        sequence(params, oracles.patches(np.asarray(image), 2, 3), rows),
        magnitude=size_of_sums(params),
        roundings=32,
    )


def test_positions_of_a_larger_image_lie_between_those_trained():
    """Bilinear by hand: a row of two patches becomes a row of four."""
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(host.zeros((1, 1)), None),
        positions=F.LearnedPositionalEmbeddingParams(jnp.array([[50.0], [0.0], [8.0]])),
        tokens_with_position=jnp.array([[100.0]]),
        tokens_without_position=jnp.array([[-3.0], [-4.0]]),
    )
    tokens = F.apply_vision_embedding(
        params,
        host.ones((1, 4, 1)),
        patch_size=1,
        table_grid=(1, 2),
        resampling=F.Resampling("bilinear", antialias=False),
    )
    np.testing.assert_array_equal(tokens[:, 0], [150, -3, -4, 0, 2, 6, 8])


def test_the_trained_grid_takes_the_table_as_it_is():
    """Whatever `resampling` says: a kernel with an offset would change it."""
    sizes = {"patch_size": (2, 3), "table_grid": (4, 5)}
    params = made("ViT, CLIP", 2 * 3 * 3, 4 * 5)
    image = normal((8, 15, 3))
    assert_same_bits(
        apply(params, image, **sizes, resampling=WITH_OFFSET),
        apply(params, image, **sizes),
    )


def test_videos():
    sizes = {"patch_size": (2, 3, 1), "table_grid": (3, 2, 5)}
    params = made("DINOv2 with registers", 2 * 3 * 2, 3 * 2 * 5)
    video = normal((4, 6, 6, 5, 2))  # batch, frames, height, width
    patches = [
        video[:, f : f + 2, h : h + 3, w : w + 1].reshape(4, -1)
        for f in (0, 2, 4)
        for h in (0, 3)
        for w in range(5)
    ]
    assert_close(
        apply(params, video, **sizes),
        sequence(params, np.stack(patches, 1), rows_of_patches(params)),
        magnitude=size_of_sums(params),
    )


@jitted
def apply_mapped(params, image, **sizes):
    """Image by image, of two axes."""
    embed = lambda image: F.apply_vision_embedding(params, image, **sizes)
    return jax.vmap(jax.vmap(embed))(image)


@given(data=st.data(), family=drawn_families)
def test_batch_equals_vmap(data, family):
    params, image, sizes = draw_image(data, family, batch=(2, 3))
    assert_close(
        apply_mapped(params, image, **sizes),
        np.asarray(apply(params, image, **sizes)),
        magnitude=size_of_sums(params),
        roundings=2 * params.patch.weight.shape[0],
    )


@given(data=st.data(), family=drawn_families, dtype=ax.narrow_dtypes)
def test_low_precision_is_the_wide_embedding_of_the_same_values(data, family, dtype):
    params, image, sizes = draw_image(data, family, dtype)
    actual = apply(params, image, **sizes)
    wide = jax.tree.map(lambda t: np.asarray(t, np.float32), (params, image))
    expected = np.asarray(apply(*wide, **sizes))
    # One unit in the last place, or the order of float32 sums, whichever is larger.
    unit = np.abs(expected) * float(jnp.finfo(dtype).eps)
    sums = size_of_sums(params) * params.patch.weight.shape[0] * 2.0**-23
    assert (np.abs(np.asarray(actual, np.float32) - expected) <= unit + sums).all()


def test_there_is_one_rounding():
    """256 + 1 is 256 in bfloat16, and 256 + 1 + 1 is 258, if nothing is rounded."""
    ones = host.ones((1, 1), jnp.bfloat16)
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(256 * ones, ones[0]),
        positions=F.LearnedPositionalEmbeddingParams(host.ones((4, 1), jnp.bfloat16)),
        tokens_with_position=None,
        tokens_without_position=ones,
    )
    image = host.ones((2, 2, 1), jnp.bfloat16)
    tokens = F.apply_vision_embedding(params, image, patch_size=1, table_grid=(2, 2))
    np.testing.assert_array_equal(tokens.astype(jnp.float32)[:, 0], [1.0] + 4 * [258.0])
    packed = pack([np.ones((2, 2, 1), np.float32)], 1, 4)
    packed = (jnp.asarray(packed[0], jnp.bfloat16), *packed[1:])
    options = {"table_grid": (2, 2), "resampling": BILINEAR}
    tokens = F.apply_packed_vision_embedding(
        params, F.PackedPatches(*packed), **options
    )
    expected = [[1.0] + 4 * [258.0]]
    np.testing.assert_array_equal(tokens.astype(jnp.float32)[..., 0], expected)


@jitted
def pull_back(params, image, masked, cotangent, **sizes):
    embed = lambda *args: F.apply_vision_embedding(*args, masked=masked, **sizes)
    return jax.vjp(embed, params, image)[1](cotangent)


@pytest.mark.parametrize("dtype", (jnp.float32, jnp.bfloat16))
def test_gradients(dtype):
    sizes = {"patch_size": (2, 3), "table_grid": (4, 3)}
    params = made("DINOv2 with registers", 2 * 3 * 2, 4 * 3, dtype)
    image = normal((3, 8, 9, 2), dtype)
    masked = np.zeros((3, 12), bool)
    masked[:, [0, 5]] = masked[1, 7] = True
    cotangent = normal((3, 1 + 4 + 12, D_MODEL), dtype, seed=1)
    of_params, of_image = pull_back(params, image, masked, cotangent, **sizes)
    wide = np.asarray(cotangent, np.float64)
    close = {"magnitude": 16.0}  # sums of at most 36 normals
    assert_close(of_params.tokens_with_position, wide[:, :1].sum(0), **close)
    assert_close(of_params.tokens_without_position, wide[:, 1:5].sum(0), **close)
    table = np.concatenate([wide[:, :1], wide[:, 5:]], axis=1).sum(0)
    assert_close(of_params.positions.weight, table, **close)
    assert_close(of_params.mask_token, wide[:, 5:][masked].sum(0), **close)
    assert_close(of_params.patch.bias, wide[:, 5:][~masked].sum(0), **close)
    pixels = oracles.patches(np.asarray(of_image, np.float32), 2, 3)
    assert (np.abs(pixels).max(-1) == 0).tolist() == masked.tolist()


def test_gradients_pass_through_resized_positions():
    params = made("ViT, CLIP", 1, 2 * 3)
    image = np.zeros((5, 4, 1), np.float32)
    loss = lambda p: jnp.sum(
        F.apply_vision_embedding(
            p, image, patch_size=1, table_grid=(2, 3), resampling=BICUBIC
        )
    )
    gradient = jax.jit(jax.grad(loss))(params)
    # Weights of a patch sum to one: 20 patches in all, and the class token.
    rows = np.asarray(gradient.positions.weight)
    np.testing.assert_allclose(rows.sum(0), 21.0, rtol=1e-6)
    np.testing.assert_array_equal(rows[0], 1.0)


def pack(images, patch_size, max_patches, order=None):
    """Packed by hand: patches, coordinates, mask and grids."""
    batch = len(images)
    channels = images[0].shape[-1]
    patches = np.zeros((batch, max_patches, patch_size**2 * channels), np.float32)
    coordinates = np.zeros((batch, max_patches, 2), np.int32)
    mask = np.zeros((batch, max_patches), bool)
    grids = np.array([[s // patch_size for s in i.shape[:2]] for i in images], np.int32)
    for index, image in enumerate(images):
        cut = oracles.patches(image, patch_size, patch_size)
        where = F.positions_from_grid(grids[index].tolist())
        chosen = np.arange(len(cut)) if order is None else order(len(cut))
        patches[index, : len(cut)] = cut[chosen]
        coordinates[index, : len(cut)] = where[chosen]
        mask[index, : len(cut)] = True
    return patches, coordinates, mask, grids


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


def test_numpy_parameters_are_taken_as_jax_has_them():
    params = made("ViT, CLIP", 2 * 2 * 2, 3 * 4)
    options = {"table_grid": (3, 4), "resampling": BILINEAR}
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


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
def test_sharded_batch(axis_type):
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    image = normal((4, 4, 6, 3))
    sizes = {"patch_size": (2, 3), "table_grid": (3, 2)}
    params = made("DINOv2 with registers", 2 * 3 * 3, 3 * 2)
    embed = lambda p, x: F.apply_vision_embedding(p, x, **sizes, resampling=BICUBIC)
    plain = np.asarray(apply(params, image, **sizes, resampling=BICUBIC))
    with jax.set_mesh(mesh):
        image = jax.device_put(image, NamedSharding(mesh, P("a")))
        params = jax.device_put(params, NamedSharding(mesh, P()))
        actual = jax.jit(embed)(params, image)
        assert_close(actual, plain, magnitude=64.0)
        spread = NamedSharding(mesh, P("a", None, None))
        assert actual.sharding.is_equivalent_to(spread, 3)


def test_init_draws_what_is_asked_for():
    key, sizes = jax.random.key(0), {"patch_size": (3, 2), "num_channels": 5}
    draw = lambda **options: init(key, **sizes, d_model=200, **options)
    params = draw(
        table_grid=(7, 4),
        num_tokens_with_position=2,
        num_tokens_without_position=3,
        mask_token=True,
    )
    expected = jitted(F.init_patch_embedding)(
        jax.random.split(key, 5)[0], **sizes, d_model=200
    )
    assert_same_bits(params.patch.weight, expected.weight)
    shapes = jax.tree.map(lambda leaf: leaf.shape, params[1:])
    assert shapes == (((30, 200),), (2, 200), (3, 200), (200,))
    rows = [params.positions.weight, *params[2:4], params.mask_token[None]]
    flat = np.concatenate([np.asarray(r, np.float64) for r in rows])
    assert len(np.unique(flat[:, 0])) == 36  # no row is drawn twice
    # The normal cut at two deviations has 0.88 of the deviation.
    assert abs(flat.std() - 0.88 * 0.02) < 0.02 * 6 / (2 * flat.size) ** 0.5
    bare = draw(
        table_grid=None,
        num_tokens_with_position=0,
        positions=False,
        use_bias=False,
        dtype="bfloat16",
    )
    assert [leaf.dtype for leaf in jax.tree.leaves(bare)] == [jnp.bfloat16]
    assert bare.patch.bias is None and bare[1:] == (None, None, None, None)


def test_mixed_dtypes_are_widened_and_the_result_is_that_of_the_image():
    sizes = {"patch_size": (2, 3), "table_grid": (1, 2)}
    params = made("ViT, CLIP", 2 * 3 * 3, 1 * 2, jnp.bfloat16)
    front = np.full((1, D_MODEL), 1 + 2.0**-20, np.float32)
    params = params._replace(tokens_with_position=front)
    image = np.zeros((2, 6, 3), np.float32)
    tokens = np.asarray(apply(params, image, **sizes))
    assert tokens.dtype == jnp.float32
    row = np.asarray(params.positions.weight, np.float32)[0]
    assert_same_bits(tokens[0], front[0] + row)
    narrow = apply(params, image.astype(jnp.bfloat16), **sizes)
    assert_same_bits(narrow, tokens.astype(jnp.bfloat16))


@pytest.mark.parametrize(
    "apply",
    (
        lambda params: embed(params, host.ones((4, 6, 3), np.float32)),
        lambda params: packed(params),
    ),
    ids=("one image", "packed"),
)
def test_parameters_of_float64_are_not_rounded_before_the_sum(apply):
    with jax.enable_x64(True):
        params = jax.tree.map(lambda t: np.asarray(t, np.float64), small())
        # In float32, this row of positions is 1, and its sum with the token 0.
        table = np.zeros((7, 4))
        table[0] = 1 + 2.0**-30
        params = params._replace(
            tokens_with_position=np.full((1, 4), -1.0),
            positions=F.LearnedPositionalEmbeddingParams(weight=table),
        )
        tokens = np.asarray(apply(params))
    assert tokens.dtype == np.float32
    np.testing.assert_array_equal(tokens.reshape(-1, 4)[0], 2.0**-30)


@given(data=st.data(), batch=ax.batches, index=st.integers(0, 3), dtype=ax.dtypes)
def test_inserted_tokens(data, batch, index, dtype):
    x = data.draw(ax.floats((*batch, 3, D_MODEL), dtype))
    tokens = data.draw(ax.floats((2, D_MODEL)))
    actual = jitted(F.insert_tokens)(x, tokens, index=index)
    assert actual.shape == (*batch, 5, D_MODEL)
    assert_same_bits(np.delete(actual, [index, index + 1], axis=-2), x)
    for place in (0, 1):
        row = np.asarray(tokens)[place].astype(dtype)
        row = np.broadcast_to(row, (*batch, D_MODEL))
        assert_same_bits(np.asarray(actual)[..., index + place, :], row)


@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float32))
def test_gradients_of_inserted_tokens_are_added_up_in_float32(dtype):
    x, tokens = host.zeros((65_536, 1, 2), jnp.bfloat16), host.zeros((1, 2), dtype)
    insert = lambda t: F.insert_tokens(x, t).astype(jnp.float32).sum()
    assert jax.jit(jax.grad(insert))(tokens).astype(float).tolist() == [[65_536.0] * 2]


def test_numpy_images_are_taken_as_jax_has_them():
    image, params = np.random.default_rng(0).normal(size=(4, 6, 3)), small()
    assert_same_bits(embed(params, image), embed(params, jnp.asarray(image)))


def small(**changes):
    table = lambda n: normal((n, 4))
    params = params_of("ViT, CLIP", 2 * 2 * 3, 2 * 3, table)
    return params._replace(**{"mask_token": None, **changes})


def embed(params, image=None, **options):
    options = {"patch_size": 2, "table_grid": (2, 3), **options}
    image = host.ones((4, 6, 3)) if image is None else image
    return F.apply_vision_embedding(params, image, **options)


def one_packed():
    patches, *rest = pack([np.ones((4, 6, 3), np.float32)], 2, 8)
    return jnp.asarray(patches), *rest


def packed(params, **options):
    options = {"table_grid": (2, 3), "resampling": BILINEAR, **options}
    return F.apply_packed_vision_embedding(
        params, F.PackedPatches(*one_packed()), **options
    )


@pytest.mark.errors
def test_another_grid_must_come_with_a_way_to_resize():
    message = (
        r"^apply_vision_embedding: resampling=None must be .* for an image of 3 x 2 "
        r"patches and table_grid=\(2, 3\); "
    )
    with pytest.raises(ValueError, match=f"{message}attnax.interop.resampling"):
        embed(small(), host.ones((6, 4, 3)))
    with pytest.raises(ValueError, match=r"resampling=None must be .*interop.resampl"):
        packed(small(), resampling=None)
    message = (
        r"^apply_vision_embedding: image has 2 x 2 x 3 patches, but must have "
        r"table_grid=\(1, 2, 3\).* not resized over time"
    )
    with pytest.raises(ValueError, match=message):
        embed(
            small(),  # six patches of twelve values, which a video can have too
            host.ones((2, 4, 6, 3)),
            patch_size=(1, 2, 2),
            table_grid=(1, 2, 3),
            resampling=BILINEAR,
        )


@pytest.mark.errors
@pytest.mark.parametrize("apply", (embed, packed))
@pytest.mark.parametrize("positions", (True, False))
def test_ways_to_resize_are_checked_before_they_are_needed(apply, positions):
    """The grid of the image is that of the table, or there is no table at all."""
    params = small() if positions else small(positions=None)
    for other in ({"method": "bicubic", "antialias": True}, {}, "vit"):
        message = re.escape(f"resampling={other} must be an").replace("vit", "'vit'")
        with refused(message + r'.*interop.resampling\("vit"\)'):
            apply(params, resampling=other)


@pytest.mark.errors
@pytest.mark.parametrize("apply", (embed, packed))
def test_tables_must_fit(apply):
    message = r"shape=\(7, 4\) must have 1 \+ 8 rows: .* of table_grid=\(2, 4\)"
    with pytest.raises(ValueError, match=message):
        apply(small(), table_grid=(2, 4))
    message = r"shape=\(7, 4\) must have 0 \+ 6 rows"
    with pytest.raises(ValueError, match=message):
        apply(small(tokens_with_position=None))
    for name in ("tokens_with_position", "tokens_without_position"):
        message = rf"params.{name}.shape=\(1, 5\) must end in the width of params.patch"
        with pytest.raises(ValueError, match=message):
            apply(small(**{name: host.ones((1, 5))}))
    with pytest.raises(ValueError, match=r"params.mask_token.shape=\(3,\)"):
        apply(small(mask_token=host.ones(3)))
    for name, shape in (("tokens_with_position", (4,)), ("mask_token", (1, 4))):
        with refused(re.escape(f"params.{name}.shape={shape} must have ")):
            apply(small(**{name: host.ones(shape)}))
    for grid in (None, 14, (6,), (1, 1, 2, 3), (-2, -3), (2.0, 3.0)):
        with refused(re.escape(f"table_{grid=} must be (rows, columns)")):
            apply(small(), table_grid=grid)
    reason = {embed: "for patch_size=(2, 2)", packed: "packed batches are of images"}
    message = r"table_grid=\(1, 2, 3\) must have 2 axes.*" + re.escape(reason[apply])
    with pytest.raises(ValueError, match=message):
        apply(small(), table_grid=(1, 2, 3))


@pytest.mark.parametrize("apply", (embed, packed))
def test_grids_of_tables_may_be_lists_and_arrays(apply):
    expected = apply(small())
    for grid in ([2, 3], np.array([2, 3]), (np.int64(2), np.int32(3))):
        assert_same_bits(apply(small(), table_grid=grid), expected)


@pytest.mark.errors
def test_masks_must_fit():
    with pytest.raises(ValueError, match=r"masked must come with params.mask_token"):
        embed(small(), masked=np.ones(6, bool))
    with_token = small(mask_token=host.ones(4))
    for shape in ((5,), (1,), (2, 6)):
        message = rf"masked.shape={re.escape(str(shape))} must broadcast to \(6,\)"
        with refused(message):
            embed(with_token, masked=np.ones(shape, bool))
    patches, coordinates, _, grids = one_packed()
    arrays = patches, coordinates, np.ones((1, 7), bool), grids
    with refused(r"packed.mask.shape=\(1, 7\) must be \(1, 8\)"):
        F.apply_packed_vision_embedding(
            small(), F.PackedPatches(*arrays), table_grid=(2, 3), resampling=BILINEAR
        )


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
def test_images_must_be_real_floats():
    with refused("image.dtype=uint8 must be a real float dtype"):
        embed(small(), host.ones((4, 6, 3), jnp.uint8))
    arrays = host.ones((1, 8, 12), jnp.int32), *one_packed()[1:]
    with refused("packed.patches.dtype=int32 must be a real float dtype"):
        F.apply_packed_vision_embedding(
            small(), F.PackedPatches(*arrays), table_grid=(2, 3), resampling=BILINEAR
        )


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


@pytest.mark.errors
def test_sizes_are_checked_when_drawn():
    init = lambda **options: F.init_vision_embedding(
        jax.random.key(0),
        **{
            "patch_size": 2,
            "num_channels": 3,
            "d_model": 4,
            "table_grid": (2, 3),
            **options,
        },
    )
    for name in ("num_tokens_with_position", "num_tokens_without_position"):
        with pytest.raises(ValueError, match=f"{name}=-1 must be an integer"):
            init(**{name: -1})
    for grid in ((2, 0), None, 14):
        with refused(re.escape(f"table_grid={grid} must be (rows, columns)")):
            init(table_grid=grid)
    with pytest.raises(ValueError, match=r"table_grid=\(2, 3, 1\) must have 2 axes"):
        init(table_grid=(2, 3, 1))
    with pytest.raises(ValueError, match="d_model=0 must be a positive integer"):
        init(d_model=0)
    with pytest.raises(
        ValueError, match=r"init_std=-1.0 must be a finite number of at least 0"
    ):
        init(init_std=-1.0)


@pytest.mark.errors
def test_tokens_must_fit_where_they_are_inserted():
    with refused(r"x.shape=\(3, 4\) must be .* tokens.shape=\(2, 5\)"):
        F.insert_tokens(host.ones((3, 4)), host.ones((2, 5)))
    for index in (-1, 4):
        with pytest.raises(
            ValueError, match=rf"index={index} must be an integer in \[0, 3\]"
        ):
            F.insert_tokens(host.ones((3, 4)), host.ones((2, 4)), index=index)
