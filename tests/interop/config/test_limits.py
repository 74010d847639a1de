"""Configs that would crash or hang: each is an error that names function and key."""

import time

import pytest
from helpers import slow

from attnax.interop import rope_from_hf, ropes_from_hf

LLAMA = {"model_type": "llama", "hidden_size": 256, "num_attention_heads": 4}
MOST = 2**16
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 4096}
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 32, "long_factor": [2.0] * 32}


@pytest.mark.errors
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rope_scaling": {"rope_type": "axial"}}, "rope_type='axial', which the code"),
        (
            {"rope_scaling": YARN | {"original_max_position_embeddings": 0}},
            "original_max_position_embeddings=0 must be a positive whole number",
        ),
        (
            {"rope_scaling": LONG | {"original_max_position_embeddings": 0.5}},
            "original_max_position_embeddings=0.5 must be a positive whole number",
        ),
        ({"rope_theta": 10**400}, "rope_theta=1000+ .* must be a number"),
        ({"rope_theta": -(10**5000)}, "thousands of digits must be a number"),
        ({"rope_theta": 1e308 * 10}, "rope_theta=inf must be a number"),
        ({"rope_scaling": YARN | {"truncate": 2}}, "truncate=2 must be true or false"),
        ({"rope_scaling": YARN | {"type": 1}}, "type=1 must be a name"),
        (
            {"rope_scaling": {"rope_type": "dynamic", "factor": 1e18}},
            "rope_scaling: 0.0 cannot be raised to a negative power|rope_scaling: .*",
        ),
        ({"num_hidden_layers": 10**6}, "num_hidden_layers=1000000 must be .* at most"),
        ({"num_hidden_layers": MOST + 1}, "at most 65536"),
        (
            {"layer_types": ["full_attention"] * (MOST + 1)},
            "65537 names, but .* at most 65536",
        ),
        ({"head_dim": 10**8}, "head_dim=100000000 must be .* at most 65536"),
        ({"per_layer_config": {"1" * 6000: {}}}, "per_layer_config=.* must be a dict"),
        ({"hidden_size": 10**9}, "head_dim=250000000 .* must be at most 65536"),
        (
            {"rope_scaling": {"factor": 2.0, "finetune": "x" * 10**6}},
            "finetune=.{0,990}$",
        ),
    ],
)
def test_crashes_and_hangs_are_errors(changes, message):
    for function in (rope_from_hf, ropes_from_hf):
        with pytest.raises(ValueError, match=f"^{function.__name__}: .*({message})"):
            function(LLAMA | changes, seq_len=2048)


@pytest.mark.errors
def test_sections_are_added_up_before_they_are_laid_out():
    scaling = {"type": "mrope", "mrope_section": [10**12, 10**12, 10**12]}
    with pytest.raises(ValueError, match="must sum to the 64 pairs"):
        rope_from_hf({"model_type": "qwen2_vl_text", "rope_scaling": scaling})


@pytest.mark.errors
def test_parameters_that_are_nested_without_a_layer_type_are_an_error():
    nested = {"rope_type": "default", "beta_fast": {"rope_type": "yarn"}}
    config = {"model_type": "mine", "rope_scaling": nested}
    with pytest.raises(ValueError, match="must hold one dict or null for each"):
        rope_from_hf(config, layout="half")


@pytest.mark.errors
def test_frequencies_are_bounded_over_all_distinct_ropes(monkeypatch):
    monkeypatch.setattr("attnax.interop._config.layer_ropes.MOST_FREQUENCIES", 4 * 32)
    config = {"model_type": "granite_swa", "head_dim": 64, "num_hidden_layers": 10}
    four = {"layer_rope_theta": [1e4, 1e5, 1e6, 1e7, 1e4] * 2}
    assert len(ropes_from_hf(config | four)) == 10
    five = {"layer_rope_theta": [1e4, 1e5, 1e6, 1e7, 1e8] * 2}
    with pytest.raises(ValueError, match=r"^ropes_from_hf: .* more than 128 freq"):
        ropes_from_hf(config | five)


@pytest.mark.errors
def test_lengths_are_bounded():
    with pytest.raises(ValueError, match="seq_len=0 must be a positive integer"):
        rope_from_hf(LLAMA, seq_len=0)
    for seq_len in (2**53 + 1, 10**400):
        with pytest.raises(ValueError, match=r"seq_len=.* at most 2\*\*53"):
            rope_from_hf(LLAMA, seq_len=seq_len)


@pytest.mark.parametrize(
    "config",
    [
        LLAMA,
        {"model_type": "granite_swa", "layer_rope_theta": [1e4, 0, 1e5, 1e6] * 2**14},
        *slow(
            {"model_type": "lfm2", "full_attn_idxs": list(range(MOST))},
            {
                "model_type": "mllama_text_model",
                "cross_attention_layers": [*range(MOST)],
            },
            {
                "model_type": "molmo2_text",
                "rope_scaling": YARN,
                "rope_scaling_layers": list(range(0, MOST, 2)),
            },
            {
                "model_type": "gemma4_text",
                "per_layer_config": {str(i): {"head_dim": 256} for i in range(MOST)},
            },
        ),
    ],
    ids=lambda config: config["model_type"],
)
def test_work_grows_with_distinct_ropes_and_not_with_layers(config):
    start = time.perf_counter()
    ropes = ropes_from_hf(config | {"num_hidden_layers": MOST})
    # It takes a fifth of a second; a rope for each layer takes half a minute.
    assert time.perf_counter() - start < 10.0
    assert len(ropes) == MOST and len({id(rope) for rope in ropes}) <= 4
