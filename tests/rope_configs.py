"""Configs that several tests of `rope_from_hf` read, and how they expect errors."""

import functools

import pytest
from frequency_methods import LLAMA, METHODS

from attnax.interop import rope_from_hf, ropes_from_hf

YARN, LLAMA3 = METHODS["yarn"].parameters, METHODS["llama3"].parameters


LONGROPE = {k: v for k, v in METHODS["longrope"].parameters.items() if k != "factor"}


def scaled(kind, **values):
    return LLAMA | {"rope_theta": 5e5, "rope_scaling": {"rope_type": kind, **values}}


def refused(config, message, **kwargs):
    with pytest.raises(ValueError, match=message):
        rope_from_hf(config, **kwargs)


# Parameters by layer type.

GEMMA3_4B = {  # As released: nearly everything is left to the defaults.
    "architectures": ["Gemma3ForConditionalGeneration"],
    "model_type": "gemma3",
    "text_config": {
        "hidden_size": 2560,
        "intermediate_size": 10240,
        "model_type": "gemma3_text",
        "num_hidden_layers": 34,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "sliding_window": 1024,
    },
    "vision_config": {"model_type": "siglip_vision_model", "hidden_size": 1152},
}


@functools.cache
def ropes_of_defaults(name):
    """What the layers of a family have, each once."""
    return set(ropes_from_hf({"model_type": name}, seq_len=9))


DEEPSEEK = {"model_type": "deepseek_v3"}


# The tables.

# Model types whose own code cannot make a rope of the defaults of its config either, or
# rounds an odd number of channels up.
NOT_FROM_DEFAULTS = {
    "cohere_compass_text": "must hold an entry for the layer types",
    "glm4_moe": r"head_dim=42 \(.*\) and partial_rotary_factor=0.5 make 21",
    "glm4v_moe_text": r"head_dim=42 \(.*\) and partial_rotary_factor=0.5 make 21",
    "glm4v_text": "must sum to the 64 pairs",
    "glm_image_text": "must sum to the 64 pairs",
    "qwen3_omni_moe_text": "make 73 rotating channels",
}
