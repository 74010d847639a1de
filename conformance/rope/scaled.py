"""Configurations of context extension, as `config.json` files hold them.

Each is a raw dict: transformers reads it through its own class of configs, and attnax
directly.
"""

YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 2048}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 2048,
}
LINEAR = {"rope_type": "linear", "factor": 4.0}
DYNAMIC = {"rope_type": "dynamic", "factor": 2.0}
SHORT, LONG = 1_500, 20_000  # positions on both sides of every trained length here
BOTH = (SHORT, LONG)


def longrope(pairs, **more):
    """LongRoPE parameters with lists of factors for so many pairs."""
    return {
        "rope_type": "longrope",
        "short_factor": [1.0 + i / pairs for i in range(pairs)],
        "long_factor": [1.0 + 4.0 * i for i in range(pairs)],
        "original_max_position_embeddings": 4096,
        **more,
    }


# For heads of 64 channels, all of which rotate.
METHODS = {
    "default": {"rope_type": "default"},
    "linear": LINEAR,
    "dynamic": DYNAMIC,
    "llama3": LLAMA3,
    "llama3, other ends": LLAMA3 | {"low_freq_factor": 0.5, "high_freq_factor": 16.0},
    "yarn": YARN,
    "yarn, without factor": YARN | {"factor": None},
    "yarn, attention_factor": YARN | {"attention_factor": 0.9},
    "yarn, betas": YARN | {"beta_fast": 16.0, "beta_slow": 2.0},
    "yarn, not truncated": YARN | {"truncate": False},
    "yarn, mscale": YARN | {"mscale": 1.0},
    "yarn, both mscales": YARN | {"mscale": 0.707, "mscale_all_dim": 1.3},
    "longrope": longrope(32),
    "longrope, factor": longrope(32, factor=7.0),
    "longrope, attention_factor": longrope(32, attention_factor=1.3),
    "proportional": {"rope_type": "proportional", "partial_rotary_factor": 0.25},
    "proportional, factor": {
        "rope_type": "proportional",
        "partial_rotary_factor": 0.5,
        "factor": 2.0,
    },
}
LLAMA = {
    "model_type": "llama",
    "hidden_size": 512,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "num_hidden_layers": 4,
    "max_position_embeddings": 16_384,
}


def version_5(parameters, theta):
    """A config of version 5: the parameters and the base in one dict."""
    return {"rope_parameters": {"rope_theta": theta, **parameters}}


def version_4(parameters, theta):
    """A config of version 4: the base stands beside, and the type is `type`."""
    old = dict(parameters)
    old["type"] = old.pop("rope_type")
    return {"rope_theta": theta, "rope_scaling": old}


def late_version_4(parameters, theta):
    """A late config of version 4: the base stands beside, the type is `rope_type`."""
    return {"rope_theta": theta, "rope_scaling": parameters}


def of_llama():
    """Yields every method in both spellings, as a config of Llama."""
    for name, parameters in METHODS.items():
        trained = {"max_position_embeddings": 4096} if name == "dynamic" else {}
        yield f"{name}, v5", LLAMA | trained | version_5(parameters, 5e5)
        yield f"{name}, v4", LLAMA | trained | version_4(parameters, 5e5)
