"""Where transformers 5.23 has lost what a released model does, or renames it."""

import numpy as np
import pytest

from attnax.interop import rope_from_hf, ropes_from_hf

TINY = {  # the language model of DeepSeek-VL2-tiny and of DeepSeek-OCR
    "model_type": "deepseek_v2",
    "hidden_size": 1280,
    "num_attention_heads": 10,
    "num_hidden_layers": 12,
    "kv_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
    "use_mla": False,
    "v_head_dim": 0,
}


def plain(width, base=10_000.0):
    return np.float64(base) ** (-np.arange(0, width, 2) / width)


def test_a_decoder_without_latents_rotates_plain_halves():
    rope = rope_from_hf(TINY)
    assert (rope.layout, rope.rotary_start) == ("half", "leading")
    np.testing.assert_allclose(rope.inv_freq, plain(128), rtol=1e-14)
    assert ropes_from_hf(TINY) == [rope] * 12
    latent = rope_from_hf({"model_type": "deepseek_v2", "use_mla": True})
    assert (latent.layout, latent.rotary_start) == ("interleaved", "trailing")


def test_a_listed_pattern_of_layers_is_followed():
    config = {"model_type": "mimo_v2_flash", "num_hidden_layers": 4}
    pattern = {"hybrid_layer_pattern": [1, 0, 0, 1]}
    lowest = [rope.inv_freq[-1] for rope in ropes_from_hf(config | pattern)]
    sliding, full = (plain(64, base)[-1] for base in (1e4, 5e6))
    np.testing.assert_allclose(lowest, [sliding, full, full, sliding], rtol=1e-13)
    # That of the release is what the code of transformers does without it.
    config |= {"num_hidden_layers": 12}
    release = {"hybrid_layer_pattern": [0, 1, 1, 1, 1, 0] + [1] * 5 + [0]}
    assert ropes_from_hf(config | release) == ropes_from_hf(config)
    with pytest.raises(ValueError, match="12 layers, but its lists describe 4"):
        ropes_from_hf(config | pattern)


def test_zamba_2_with_long_context_has_a_larger_base():
    config = {"model_type": "zamba2", "hidden_size": 64, "num_attention_heads": 4}
    config |= {"use_mem_rope": True, "use_long_context": True}
    rope = rope_from_hf(config)
    expected = plain(32, 10_000.0 * 8.0 ** (32 / 30))
    np.testing.assert_allclose(rope.inv_freq, expected, rtol=1e-13)
    scaled = config | {"rope_scaling": {"rope_type": "linear", "factor": 2.0}}
    with pytest.raises(ValueError, match="use_long_context=True and rope_scaling"):
        rope_from_hf(scaled)


@pytest.mark.parametrize("name", ("gemma3_text", "gemma3n_text", "olmo3"))
def test_the_type_of_a_scaling_under_its_old_name(name):
    config = {"model_type": name, "head_dim": 128, "rope_theta": 1e6}
    config |= {"rope_scaling": {"type": "linear", "factor": 8.0}}
    full = rope_from_hf(config, layer_type="full_attention")
    np.testing.assert_allclose(full.inv_freq, plain(128, 1e6) / 8.0, rtol=1e-13)
    local = rope_from_hf(config, layer_type="sliding_attention")
    assert local.inv_freq[0] == 1.0
    new = config | {"rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    assert ropes_from_hf(config) == ropes_from_hf(new)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("EvollaModel", "evolla"),
        ("exaone4_5_text", "exaone4"),
        ("kimi_k2", "deepseek_v3"),
        ("mlcd", "mlcd_vision_model"),
    ],
)
def test_names_that_stand_for_the_code_of_another(name, code):
    sizes = {"num_hidden_layers": 4}
    of_name = ropes_from_hf({"model_type": name, **sizes})
    assert of_name == ropes_from_hf({"model_type": code, **sizes})


def test_the_text_of_hyperclovax_under_its_first_name():
    text = {"model_type": "hyperclovax", "head_dim": 64, "rope_theta": 1e8}
    config = {"model_type": "vlm", "text_config": text}
    rope = rope_from_hf(config)
    np.testing.assert_allclose(rope.inv_freq, plain(64, 1e8), rtol=1e-13)


@pytest.mark.parametrize("name", ("phi3", "phi4_multimodal"))
@pytest.mark.parametrize("inner", ({}, {"original_max_position_embeddings": 8192}))
def test_the_original_length_is_that_of_the_code_where_it_is_missing(name, inner):
    scaling = {
        "type": "longrope",
        "short_factor": [1.0] * 48,
        "long_factor": [9.0] * 48,
    }
    config = {"model_type": name, "max_position_embeddings": 131_072}
    rope = rope_from_hf(config | {"rope_scaling": scaling | inner}, seq_len=131_072)
    assert rope.inv_freq[0] == pytest.approx(1 / 9, rel=1e-15)
    # sqrt(1 + ln(32) / ln(4096)), as in the code of Phi-3.
    assert rope.attention_factor == pytest.approx(1.1902380714238083, rel=1e-15)
    short = rope_from_hf(config | {"rope_scaling": scaling | inner}, seq_len=4096)
    assert short.inv_freq[0] == 1.0
