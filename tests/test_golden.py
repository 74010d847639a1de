"""Golden values from torch and transformers; `golden/embeddings.json` says which."""

import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

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


def test_deepseek_of_transformers_reads_interleaved_and_puts_out_halves():
    rope = F.Rope(F.default_inv_freq(16), "interleaved_to_half")
    actual = F.rotate(rope, jnp.asarray(GOLDEN["x"]), GOLDEN["positions"])
    np.testing.assert_allclose(actual, GOLDEN["deepseek"], **ANGLE)


YARN = {"factor": 32.0, "original_max_len": 4096, "truncate": False}
LLAMA = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_len": 8192}
SCALED = {
    "linear": F.linear_inv_freq(64, factor=8.0),
    "dynamic": F.dynamic_ntk_inv_freq(
        96, factor=2.0, original_max_len=4096, seq_len=10_000
    ),
    "yarn": F.yarn_inv_freq(64, 150_000.0, **YARN),
    "yarn_truncated": F.yarn_inv_freq(128, 1e6, factor=4.0, original_max_len=32_768),
    "llama3": F.llama3_inv_freq(128, 5e5, factor=8.0, **LLAMA),
    "longrope": F.longrope_inv_freq(12, factors=[1.0, 1.25, 3.0, 9.5, 20.0, 64.0]),
    "proportional": F.proportional_inv_freq(64, 1e6, fraction=0.25),
}
FACTORS = {
    "yarn": F.yarn_attention_factor(32.0),
    "yarn_truncated": F.yarn_attention_factor(4.0),
    "longrope": F.longrope_attention_factor(32.0, 4096),
}


@pytest.mark.parametrize("name", SCALED)
def test_scaled_frequencies_are_those_of_transformers(name):
    *inv_freq, factor = GOLDEN[f"inv_freq_{name}"].tolist()
    # Theirs are float32 powers of a rounded exponent, below ln(1e6) = 14 in size, and
    # some five more roundings; where a frequency is interpolated, of the plain one.
    rtol = (14 + 6) * 2.0**-24
    largest_ratio = {"yarn": 32.0, "yarn_truncated": 4.0, "llama3": 8.0}.get(name, 1.0)
    np.testing.assert_allclose(SCALED[name], inv_freq, rtol=rtol * largest_ratio)
    np.testing.assert_allclose(FACTORS.get(name, 1.0), factor, rtol=2.0**-24)


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
