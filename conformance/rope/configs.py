"""The configurations that the users of a rotary class pass to it."""

import functools
import inspect
import typing

from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

from .. import classes as of_transformers

# Classes of configs, for users whose annotation does not say them.
OF_USER = {
    "DiffusionGemmaDecoderModel": ("DiffusionGemmaConfig",),
    "MimiTransformerModel": ("MimiConfig", "MimiEncoderConfig", "MimiDecoderConfig"),
    "PocketTTSAudioTokenizerTransformerModel": (
        "PocketTTSAudioTokenizerConfig",
        "PocketTTSAudioTokenizerEncoderConfig",
        "PocketTTSAudioTokenizerDecoderConfig",
    ),
    "T5GemmaDecoder": ("T5GemmaModuleConfig",),
    "T5GemmaEncoder": ("T5GemmaModuleConfig",),
}

_EXPERTS = {"num_experts": 8, "top_k_experts": 2, "moe_intermediate_size": 64}
_ATTENDS = {"rope_type": "default", "rope_theta": 50_000.0}
# Keys that a default configuration leaves open, without which the model cannot be built
# or has no rotary positions.
COMPLETED = {
    "BambaConfig": {"attn_layer_indices": [9, 18, 27]},
    "ChameleonConfig": {"vocabulary_map": {"<image>": 8711}},
    "CohereCompassTextConfig": {
        "layer_types": ["sliding_attention", "full_attention"] * 20,
        "rope_parameters": {"sliding_attention": _ATTENDS, "full_attention": None},
    },
    "DbrxConfig": {"attn_config": {"rope_theta": 10_000.0, "clip_qkv": 8.0}},
    "DeepseekOcr2TextConfig": {"mlp_layer_types": ["dense"] * 32},
    "DiffusionGemmaConfig": {"text_config": _EXPERTS},
    "DiffusionGemmaTextConfig": _EXPERTS,
    "Dots1Config": {
        "n_routed_experts": 8,
        "n_shared_experts": 1,
        "num_experts_per_tok": 2,
    },
    "EsmConfig": {
        "vocab_size": 33,
        "pad_token_id": 1,
        "position_embedding_type": "rotary",
    },
    # These three have sections for 32 pairs, and 64 or 11 of them.
    "Glm4vMoeTextConfig": {"head_dim": 128},
    "Glm4vTextConfig": {"partial_rotary_factor": 0.5},
    "GlmImageTextConfig": {"partial_rotary_factor": 0.5},
    # Without it, half of 42 channels: see `irregular.refused_defaults`.
    "Glm4MoeConfig": {"head_dim": 128},
    "GraniteMoeHybridConfig": {
        "position_embedding_type": "rope",
        "layer_types": ["linear_attention", "full_attention"] * 16,
    },
    "HunYuanDenseV1Config": {"head_dim": 128},
    "HunYuanMoEV1Config": {"head_dim": 128},
    "Lfm2MoeConfig": {"layer_types": ["conv", "full_attention"] * 16},
    "MinistralConfig": {"head_dim": 128},
    "MoonshineStreamingConfig": {"num_key_value_heads": 8},
    "NemotronConfig": {"num_key_value_heads": 8},
    # Without it, 73: the hidden size over the heads, which is odd.
    "Qwen3OmniMoeTextConfig": {"head_dim": 128},
    "Qwen3OmniMoeTalkerTextConfig": {"shared_expert_intermediate_size": 768},
    "Qwen4ExpTextConfig": {
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 256,
        "indexer_budget": 64,
        "indexer_compress_ratio": 4,
    },
    "Step3p7TextConfig": {"sliding_window": 512},
    "T5Gemma2DecoderConfig": {"dropout_rate": 0.0},
    "T5Gemma2TextConfig": {"dropout_rate": 0.0},
    "T5GemmaModuleConfig": {"dropout_rate": 0.0, "cross_attention_hidden_size": 2304},
    "Zamba2Config": {"use_mem_rope": True},
}


@functools.cache
def classes():
    """Every class of configs, by name."""
    return of_transformers.config_classes()


@functools.cache
def type_names():
    """The model type of each class, by its name."""
    return of_transformers.type_names(classes())


def of_user(user):
    """The classes of configs that class `user` is built from."""
    if user.__name__ in OF_USER:
        return [classes()[name] for name in OF_USER[user.__name__]]
    found = [cls for cls in _annotated(user) if issubclass(cls, PreTrainedConfig)]
    for model_type, names in MODEL_MAPPING_NAMES.items():
        if user.__name__ in ((names,) if isinstance(names, str) else names):
            found.append(CONFIG_MAPPING[model_type])
    return list(dict.fromkeys(found))


def _annotated(user):
    for name, parameter in inspect.signature(user.__init__).parameters.items():
        if "config" in name:
            kinds = typing.get_args(parameter.annotation) or (parameter.annotation,)
            return [kind for kind in kinds if isinstance(kind, type)]
    return []


def default(config_class):
    """A default configuration, completed where that is needed."""
    return config_class(**COMPLETED.get(config_class.__name__, {}))


def label(config_class, more=None):
    """The name of a class of configs, with the keys that complete its default."""
    more = COMPLETED.get(config_class.__name__, {}) if more is None else more
    return " + ".join((config_class.__name__, *more))


def as_dict(config):
    """The content of a `config.json`, with the model type of a part that lacks it.

    `rope_from_hf` knows such parts by the model around them.
    """
    model_type = type_names().get(type(config).__name__)
    return config.to_dict() | {"model_type": model_type}
