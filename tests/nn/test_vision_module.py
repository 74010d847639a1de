import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused

import attnax.functional as F
from attnax import nn

KEY = jax.random.key(0)
RESAMPLING = F.Resampling("bicubic", antialias=False)
RNG = np.random.default_rng(0)
IMAGES = jnp.asarray(RNG.normal(size=(2, 4, 9, 3)), jnp.float32)
WIDER = jnp.asarray(RNG.normal(size=(2, 6, 15, 3)), jnp.float32)


@eqx.filter_jit
def call(module, *args, **kwargs):
    return module(*args, **kwargs)


def make(**options):
    sizes = {"image_size": (4, 9), "patch_size": (2, 3), "num_channels": 3}
    options = {"d_model": 8, "resampling": RESAMPLING, "dtype": jnp.float32, **options}
    return nn.VisionEmbedding(**sizes, **options, key=KEY)


SIZES = {"patch_size": (2, 3), "table_grid": (2, 3)}


def test_params_are_what_init_draws():
    options = {
        "num_tokens_with_position": 2,
        "num_tokens_without_position": 4,
        "mask_token": True,
        "use_bias": False,
        "init_std": 0.5,
        "dtype": jnp.bfloat16,
    }
    module = make(**options)
    params = F.init_vision_embedding(KEY, **SIZES, num_channels=3, d_model=8, **options)
    assert jax.tree.structure(module.params) == jax.tree.structure(params)
    jax.tree.map(assert_same_bits, module.params, params)
    bare = make(positions=False, num_tokens_with_position=0)
    assert len(jax.tree.leaves(bare)) == 2
    assert module.table_grid == (2, 3)


def test_calls_are_the_functions():
    module = make(mask_token=True, num_tokens_without_position=2)
    masked = np.arange(6) % 2 == 0
    function = jitted(F.apply_vision_embedding)
    apply = lambda image, **options: function(module.params, image, **SIZES, **options)
    assert_same_bits(call(module, IMAGES), apply(IMAGES))
    assert_same_bits(call(module, IMAGES, key=KEY), apply(IMAGES))
    assert_same_bits(call(module, IMAGES[0]), apply(IMAGES[0]))
    assert_same_bits(call(module, IMAGES, masked=masked), apply(IMAGES, masked=masked))
    assert_same_bits(call(module, WIDER), apply(WIDER, resampling=RESAMPLING))
    packed = F.pack_patches([np.asarray(t)[0] for t in (IMAGES, WIDER)], (2, 3), 17)
    expected = jitted(F.apply_packed_vision_embedding)(
        module.params, packed, table_grid=(2, 3), resampling=RESAMPLING
    )
    assert_same_bits(eqx.filter_jit(module.packed)(packed), expected)


def video(**options):
    sizes = {"image_size": (4, 6, 5), "patch_size": (2, 3, 1), "num_channels": 2}
    options = {"d_model": 8, "resampling": RESAMPLING, **options}
    return nn.VisionEmbedding(**sizes, **options, key=KEY)


def test_videos():
    module = video()
    assert module.table_grid == (2, 2, 5)
    videos = np.ones((3, 4, 6, 5, 2), np.float32)
    assert call(module, videos).shape == (3, 21, 8)


def test_leaves_are_exactly_the_params():
    module = make(mask_token=True, num_tokens_without_position=2)
    leaves, expected = jax.tree.leaves(module), jax.tree.leaves(module.params)
    assert [id(leaf) for leaf in leaves] == [id(leaf) for leaf in expected]
    assert len(leaves) == 6


def test_settings_are_hashed_and_compile_once():
    traces = []

    @eqx.filter_jit
    def call(module, image):
        traces.append(module)
        return module(image)

    for module in (make(), make(), make(resampling=F.Resampling("bicubic", False))):
        call(module, IMAGES)
    assert len(traces) == 1
    call(make(resampling=F.Resampling("bicubic", True)), IMAGES)
    assert len(traces) == 2


def test_modules_of_other_settings_share_nothing():
    bicubic = make()
    first = np.asarray(bicubic(WIDER))
    other = make(resampling=F.Resampling("bilinear", False))
    assert_same_bits(other(IMAGES), bicubic(IMAGES))
    assert not np.array_equal(other(WIDER), first)
    assert_same_bits(bicubic(WIDER), first)


def test_saved_and_loaded(tmp_path):
    module = make(num_tokens_without_position=2)
    eqx.tree_serialise_leaves(tmp_path / "module.eqx", module)
    fresh = jax.tree.map(jnp.zeros_like, module)
    loaded = eqx.tree_deserialise_leaves(tmp_path / "module.eqx", fresh)
    assert_same_bits(loaded(WIDER), module(WIDER))


@pytest.mark.errors
def test_settings_are_checked_when_built():
    for options, message in (
        (
            {"num_tokens_with_position": -1},
            "num_tokens_with_position=-1 must be an integer",
        ),
        ({"d_model": 0}, "d_model=0 must be a positive integer"),
    ):
        with pytest.raises(ValueError, match=message):
            make(**options)
    sizes = {"num_channels": 3, "d_model": 8, "key": KEY}
    message = r"VisionEmbedding: image_size=\(4, 7\) must be a multiple"
    with pytest.raises(ValueError, match=message):
        nn.VisionEmbedding(image_size=(4, 7), patch_size=(2, 3), **sizes)


@pytest.mark.errors
@pytest.mark.parametrize("positions", (True, False))
def test_resamplings_are_checked_when_built(positions):
    for other in ({"method": "bicubic", "antialias": False}, {}, "vit"):
        message = (
            r"VisionEmbedding: resampling=.* must be an attnax.functional.Resampling"
            r".*interop.resampling\(\"vit\"\)"
        )
        with refused(message):
            make(resampling=other, positions=positions)
        with refused(message):
            video(resampling=other, positions=positions)


@pytest.mark.errors
def test_packed_batches_are_of_images():
    arrays = np.zeros((1, 7, 2), np.int32), np.ones((1, 7), bool), np.ones((1, 2), int)
    message = r"table_grid=\(2, 2, 5\) must have 2 axes: packed batches are of images"
    with pytest.raises(ValueError, match=message):
        video().packed(F.PackedPatches(np.ones((1, 7, 12), np.float32), *arrays))


@pytest.mark.errors
def test_images_of_another_grid_are_refused_without_a_way_to_resize():
    with pytest.raises(ValueError, match=r"resampling=None must be an attnax"):
        make(resampling=None)(WIDER)
