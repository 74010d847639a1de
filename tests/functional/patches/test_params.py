"""Parameters of a patch embedding: how they are drawn, and what fits them."""

import host
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused

import attnax.functional as F

embed = jitted(F.apply_patch_embedding)


@pytest.mark.parametrize("dtype", (None, jnp.float32, jnp.bfloat16))
def test_init_draws_the_stated_normal(dtype):
    params = F.init_patch_embedding(
        jax.random.key(0), patch_size=(16, 8), num_channels=3, d_model=200, dtype=dtype
    )
    expected = jnp.result_type(float) if dtype is None else dtype
    assert params.weight.dtype == params.bias.dtype == expected
    assert params.weight.shape == (384, 200)
    np.testing.assert_array_equal(np.asarray(params.bias, np.float32), 0.0)
    weight = np.asarray(params.weight, np.float64)
    deviation = 384**-0.5
    assert abs(weight.mean()) < 6 * deviation / weight.size**0.5
    assert abs(weight.std() - deviation) < 6 * deviation / (2 * weight.size) ** 0.5
    assert np.abs(weight).max() < 2.3 * deviation  # cut at two, then rescaled


@pytest.mark.parametrize("dtype", (jnp.bfloat16, jnp.float16))
def test_init_draws_in_float32_and_rounds_once(dtype):
    sizes = {"patch_size": (2, 3), "num_channels": 3, "d_model": 5}
    draw = lambda dtype: F.init_patch_embedding(jax.random.key(0), **sizes, dtype=dtype)
    wide = draw(jnp.float32).weight
    assert_same_bits(draw(dtype).weight, wide.astype(dtype))


def test_init_takes_patches_of_videos_and_leaves_out_the_bias():
    init = lambda key: F.init_patch_embedding(
        key, patch_size=(2, 2, 3), num_channels=5, d_model=7, use_bias=False
    )
    params = jax.eval_shape(init, jax.random.key(0))
    assert params.weight.shape == (2 * 2 * 3 * 5, 7)
    assert params.bias is None


@pytest.mark.errors
@pytest.mark.parametrize("size", (0, -2, (2, 0)))
def test_sizes_must_be_positive(size):
    key = jax.random.key(0)
    message = "patch_size=.* must be a positive integer or"
    sizes = {"num_channels": 3, "d_model": 4}
    with pytest.raises(ValueError, match=message):
        F.init_patch_embedding(key, patch_size=size, **sizes)
    for name in sizes:
        with pytest.raises(ValueError, match=f"{name}=0 must be a positive integer"):
            F.init_patch_embedding(key, patch_size=2, **{**sizes, name: 0})


@pytest.mark.errors
def test_parameters_must_fit_each_other():
    weight, patches = host.ones((4, 3)), host.ones((2, 4))
    embed = lambda weight, bias: F.apply_patch_projection(
        F.PatchEmbeddingParams(weight=weight, bias=bias), patches
    )
    for shape in ((1,), (2, 3), ()):
        with refused(
            r"params.bias.shape=.* must be that of a row of .*weight.shape=\(4, 3\)"
        ):
            embed(weight, host.ones(shape))
    with refused(r"params.weight.shape=\(4, 3, 1\) must have two axes"):
        embed(weight[..., None], None)
    for dtype in (jnp.complex64, jnp.int32):
        with refused(f"weight.dtype={jnp.dtype(dtype).name} must be a real float"):
            embed(weight.astype(dtype), None)
        with refused(f"bias.dtype={jnp.dtype(dtype).name} must be a real float"):
            embed(weight, host.ones(3, dtype))
