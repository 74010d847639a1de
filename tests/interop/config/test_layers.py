"""Which layers rotate, and layers whose parameters differ."""

import helpers
import pytest
from frequency_methods import LLAMA
from rope_configs import GEMMA3_4B, YARN, refused

import attnax.functional as F
from attnax.interop import rope_from_hf, ropes_from_hf


@pytest.mark.parametrize(
    "config, rotates",
    (
        ({"model_type": "cohere2"}, "1110"),
        ({"model_type": "cohere2", "sliding_window_pattern": 2}, "1010"),
        ({"model_type": "exaone4", "sliding_window": 4096}, "1110"),
        ({"model_type": "exaone4", "layer_types": ["full_attention"] * 4}, "0000"),
        ({"model_type": "afmoe"}, "1110"),
        ({"model_type": "llama4_text"}, "1110"),
        ({"model_type": "llama4_text", "no_rope_layers": [0, 1, 1, 0]}, "0110"),
        ({"model_type": "smollm3", "no_rope_layer_interval": 2}, "1010"),
        ({"model_type": "qwen3_next"}, "0001"),
        ({"model_type": "lfm2", "full_attn_idxs": [1, 2]}, "0110"),
        ({"model_type": "bamba", "attn_layer_indices": [3]}, "0001"),
        ({"model_type": "recurrent_gemma"}, "0010"),
        ({"model_type": "beam"}, "1110"),
        ({"model_type": "falcon"}, "1111"),
        ({"model_type": "falcon", "alibi": True}, "0000"),
        ({"model_type": "esm"}, "0000"),
        ({"model_type": "esm", "position_embedding_type": "rotary"}, "1111"),
        ({"model_type": "muse_spark_text"}, "1110"),
        ({"model_type": "llama"}, "1111"),
    ),
    ids=lambda value: value if isinstance(value, str) else value["model_type"],
)
def test_which_layers_rotate(config, rotates):
    ropes = ropes_from_hf(config | {"num_hidden_layers": 4})
    assert "".join("01"[rope is not None] for rope in ropes) == rotates


def test_layers_with_a_base_of_their_own():
    config = {
        "model_type": "granite_swa",
        "num_hidden_layers": 3,
        "layer_rope_theta": [10_000, 0, 500_000],
    }
    first, none, last = ropes_from_hf(config)
    assert none is None
    assert first == F.Rope(F.default_inv_freq(128, 10_000.0))
    assert last == F.Rope(F.default_inv_freq(128, 500_000.0))
    refused(config, "different rotary embeddings; use ropes_from_hf")


def test_layers_that_keep_the_plain_frequencies():
    values = {"rope_type": "yarn", "rope_theta": 1e6, **YARN}
    config = {
        "model_type": "molmo2_text",
        "num_hidden_layers": 3,
        "rope_parameters": values,
        "rope_scaling_layers": [1],
    }
    plain, yarn, same = ropes_from_hf(config)
    assert plain is same
    assert plain.attention_factor == 1.0 < yarn.attention_factor


def test_layer_types_with_the_same_parameters_leave_no_choice():
    base = {"rope_theta": 5e5}
    same = dict.fromkeys(("full_attention", "sliding_attention"), base)
    config = {"model_type": "gemma3_text", "head_dim": 64, "rope_parameters": same}
    assert rope_from_hf(config) == F.Rope(F.default_inv_freq(64, 5e5))
    other = same | {"full_attention": {"rope_theta": 6e5}}
    for changed in (other, same | {"full_attention": None}):
        refused(config | {"rope_parameters": changed}, "by layer type; pass layer_type")
    # The heads of its full layers are wider.
    config["model_type"] = "gemma4_text"
    refused(config, "layers of .*'gemma4_text' have different .*; use ropes_from_hf")
    refused({"model_type": "ultrabert", "rope_theta": []}, "parameters of no layer")


def test_a_layer_type_without_rope_gives_none():
    config = {"model_type": "cohere2"}
    assert rope_from_hf(config, layer_type="full_attention") is None
    plain = rope_from_hf(config)
    assert rope_from_hf(config, layer_type="sliding_attention") == plain
    assert rope_from_hf({"model_type": "beam"}, layer_type="full_attention") is None


@pytest.mark.errors
def test_layer_types_and_lengths_are_checked():
    refused(
        {"model_type": "gemma3_text"}, r"pass layer_type, one of \['full_attention'"
    )
    refused(GEMMA3_4B, r"layer_type='x' must be one of \['full_att", layer_type="x")
    refused(LLAMA, r"layer_type='x' must be one of \['full_att", layer_type="x")
    config = {"model_type": "smollm3", "num_hidden_layers": 4}
    refused(config, "some layers of .* ropes_from_hf", layer_type="full_attention")
    for seq_len in (0, -1, 1.5, "9"):
        with helpers.refused(f"{seq_len=} must be a positive int"):
            rope_from_hf(LLAMA, seq_len=seq_len)
    with helpers.refused(r"layer_type=\['x'\] must be a name"):
        rope_from_hf(LLAMA, layer_type=["x"])
    with pytest.raises(ValueError, match="ropes_from_hf: num_hidden_layers is missing"):
        ropes_from_hf(
            {"model_type": "x", "head_dim": 8, "rope_theta": 1.5}, layout="half"
        )


def test_lists_that_go_on_for_layers_that_guess_tokens():
    types = ["full_attention", "sliding_attention"] * 3
    config = {"model_type": "step3p5", "num_hidden_layers": 4, "layer_types": types}
    config["rope_theta"] = [float(i + 1) * 1e4 for i in range(6)]
    refused(config, "num_hidden_layers=4 must equal the 6")
    ropes = ropes_from_hf(config | {"num_nextn_predict_layers": 2})
    assert len(ropes) == 4 and ropes[0] == ropes[2] != ropes[1]


def test_layers_with_two_attentions():
    for config in ({"num_hidden_layers": 4}, {"num_layers": 2}):
        assert len(ropes_from_hf({"model_type": "longcat_flash"} | config)) == 4
