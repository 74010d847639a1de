"""Golden values from torch and transformers; `golden/embeddings.json` says which."""

import pathlib

import jax.numpy as jnp
import numpy as np

import attnax.functional as F

GOLDEN = np.load(pathlib.Path(__file__).parent / "golden" / "embeddings.npz")


def rotated(layout):
    x, positions = jnp.asarray(GOLDEN["x"]), GOLDEN["positions"]
    cos, sin = F.rope_cos_sin(positions, F.default_inv_freq(16))
    return F.apply_rope(x, cos[..., None, :], sin[..., None, :], layout=layout)


# Their angle is a float32 product below 400 radians of a rounded frequency: both
# roundings move it by at most 400 * 2**-24, of features of size at most 4.
ANGLE = {"rtol": 0, "atol": 4 * 2 * 400 * 2.0**-24 + 4 * 4 * 2.0**-23}


def test_llama_of_transformers_is_the_half_layout():
    np.testing.assert_allclose(rotated("half"), GOLDEN["llama"], **ANGLE)


def test_gptj_of_transformers_is_the_interleaved_layout():
    np.testing.assert_allclose(rotated("interleaved"), GOLDEN["gptj"], **ANGLE)


def test_convolution_of_torch_is_the_patch_embedding():
    kernel = jnp.asarray(GOLDEN["kernel"])
    params = F.PatchEmbeddingParams(
        weight=F.patch_weight_from_kernel(kernel, "OIHW"), bias=GOLDEN["bias"]
    )
    image = jnp.asarray(GOLDEN["image"].transpose(0, 2, 3, 1))
    actual = F.apply_patch_embedding(params, image, patch_size=(4, 3))
    # 37 products and sums in float32, in another order, of terms below 16.
    np.testing.assert_allclose(
        actual, GOLDEN["convolution"], rtol=0, atol=37 * 16 * 2.0**-23
    )


def test_embedding_of_torch_is_the_lookup():
    params = F.TokenEmbeddingParams(weight=jnp.asarray(GOLDEN["weight"]))
    actual = F.apply_token_embedding(params, GOLDEN["ids"])
    np.testing.assert_array_equal(actual, GOLDEN["embedding"])
