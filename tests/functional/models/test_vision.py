"""Embeddings of images: tokens, positions of every grid, and gradients."""

import math
import re

import host
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import strategies as ax
from helpers import assert_close, assert_same_bits, jitted, refused
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from vision_embeddings import (
    BICUBIC,
    BILINEAR,
    D_MODEL,
    FAMILIES,
    apply_each,
    embed,
    made,
    normal,
    one_packed,
    pack,
    packed,
    params_of,
    size_of_sums,
    small,
)

import attnax.functional as F

WITH_OFFSET = F.Resampling("bicubic", antialias=False, offset=0.1)
drawn_families = st.sampled_from(tuple(FAMILIES))
init = jitted(F.init_vision_embedding)
apply = jitted(F.apply_vision_embedding)


def draw_params(data, patch_dim, rows, family, dtype=jnp.float32):
    table = lambda n: data.draw(ax.floats((n, D_MODEL), dtype))
    return params_of(family, patch_dim, rows, table)


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


def test_numpy_images_are_taken_as_jax_has_them():
    image, params = np.random.default_rng(0).normal(size=(4, 6, 3)), small()
    assert_same_bits(embed(params, image), embed(params, jnp.asarray(image)))


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
def test_images_must_be_real_floats():
    with refused("image.dtype=uint8 must be a real float dtype"):
        embed(small(), host.ones((4, 6, 3), jnp.uint8))
    arrays = host.ones((1, 8, 12), jnp.int32), *one_packed()[1:]
    with refused("packed.patches.dtype=int32 must be a real float dtype"):
        F.apply_packed_vision_embedding(
            small(), F.PackedPatches(*arrays), table_grid=(2, 3), resampling=BILINEAR
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
