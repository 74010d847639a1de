"""Rotary classes that are not called with positions: a case for each.

They make a table of the whole sequence or image, rotate something else than whole heads
of queries, or belong to a model that cannot be built here.
"""

import itertools

import torch

from attnax.interop import rope_from_hf

from . import configs
from .attentions import rotations
from .compare import DISAGREED, NOT_APPLICABLE, Observation, Result
from .skeletons import skeleton
from .sources import source_of

LENGTH = 300


def observation(source, name, config, positions, made, note, *, more=None):
    """The observation of one configuration."""
    return Observation(
        family=source.family,
        name=name,
        config=configs.label(type(config), more),
        layer_type=None,
        raw=configs.as_dict(config),
        positions=positions.numpy(),
        made=made,
        note=note,
    )


def result(source, name, config, status, note, *, more=None):
    """A line of the table."""
    label = configs.label(type(config), more)
    return Result(source.family, name, label, None, status, note)


def llama4_vision():
    """A table of the whole image, from 1 on, and then the class token at (0, 0)."""
    source, name = source_of("llama4"), "Llama4VisionRotaryEmbedding"
    config = configs.classes()["Llama4VisionConfig"]()
    rotary = skeleton(getattr(source.module, name), config)
    module = skeleton(source.module.Llama4VisionAttention, config)
    size = config.image_size // config.patch_size
    rows, columns = torch.meshgrid(*[torch.arange(1, size + 1)] * 2, indexing="ij")
    positions = torch.stack([columns.flatten(), rows.flatten()], dim=-1)
    positions = torch.cat([positions, torch.zeros(1, 2, dtype=torch.int64)])
    made = rotations(source, module, rotary(torch.zeros(1)), None, len(positions))
    note = "(x + 1, y + 1), class token last:"
    yield observation(source, name, config, positions, made, note)


def efficientloftr():
    """Rows and columns from 1 on, over the whole width before it is cut into heads."""
    source, name = source_of("efficientloftr"), "EfficientLoFTRRotaryEmbedding"
    config = configs.classes()["EfficientLoFTRConfig"]()
    rotary = skeleton(getattr(source.module, name), config)
    module = skeleton(source.module.EfficientLoFTRAttention, config)
    step = config.q_aggregation_stride
    cos_sin = rotary(torch.zeros(1, 1, 5 * step, 7 * step))
    cos_sin = tuple(t.flatten(1, 2) for t in cos_sin)
    positions = torch.tensor(list(itertools.product(range(1, 6), range(1, 8))))
    made = rotations(source, module, cos_sin, None, len(positions))
    note = "5 x 7 from (1, 1), whole width:"
    yield observation(source, name, config, positions, made, note)


CONFORMERS = {
    "wav2vec2_conformer": ("Wav2Vec2Conformer", "Wav2Vec2ConformerConfig"),
    "wav2vec2_bert": ("Wav2Vec2Bert", "Wav2Vec2BertConfig"),
    "seamless_m4t": ("SeamlessM4TConformer", "SeamlessM4TConfig"),
}


def conformers():
    """Tables of the sequence, for hidden states before they become queries."""
    for family, (prefix, config_name) in CONFORMERS.items():
        source, name = source_of(family), f"{prefix}RotaryPositionalEmbedding"
        more = {"position_embeddings_type": "rotary"}
        config = configs.classes()[config_name](**more)
        rotary = skeleton(getattr(source.module, name), config)
        module = skeleton(getattr(source.module, f"{prefix}SelfAttention"), config)
        table = rotary(torch.zeros(1, LENGTH, 1))
        made = [
            (function, *(t.unflatten(-1, (-1, module.head_size)) for t in pair))
            for function, *pair in rotations(source, module, table, None, LENGTH)
        ]
        note, positions = "before projecting:", torch.arange(LENGTH)
        yield observation(source, name, config, positions, made, note, more=more)


def clvp():
    """A table of the sequence; the first channels of heads rotate, of values too."""
    source, name = source_of("clvp"), "ClvpRotaryPositionalEmbedding"
    config = configs.classes()["ClvpEncoderConfig"]()
    rotary = skeleton(getattr(source.module, name), config)
    module = skeleton(source.module.ClvpSelfAttention, config)
    angles, positions = rotary(torch.zeros(1, LENGTH, 1)), torch.arange(LENGTH)
    # Its scores are made in place, so the slice is compared and not the whole head.
    made = rotations(source, module, angles, positions[None], LENGTH, head_dim=0)
    note = "table of the sequence, slice:"
    yield observation(source, name, config, positions, made, note)


def roformer():
    """A sinusoidal table instead of a rotary class."""
    source, name = source_of("roformer"), "RoFormerSinusoidalPositionalEmbedding"
    config = configs.classes()["RoFormerConfig"]()
    head_dim = config.hidden_size // config.num_attention_heads
    table = getattr(source.module, name)(LENGTH, head_dim).create_weight()
    module = skeleton(source.module.RoFormerSelfAttention, config)
    settings = {"sinusoidal_pos": table[None, None], "head_dim": head_dim}
    made = rotations(source, module, None, None, LENGTH, **settings)
    positions = torch.arange(LENGTH)
    yield observation(source, name, config, positions, made, "sinusoidal table:")


ALONE = {
    "pe_video": "PeVideoEncoder",
    "pe_audio_video": "PeAudioVideoEncoder",
}


def perception_encoders():
    """The attention alone: their models need a package that is not installed."""
    for family, prefix in ALONE.items():
        source, name = source_of(family), f"{prefix}RotaryEmbedding"
        config = configs.classes()[f"{prefix}Config"]()
        rotary = skeleton(getattr(source.module, name), config)
        module = skeleton(getattr(source.module, f"{prefix}Attention"), config)
        positions = torch.arange(13) * 83
        cos_sin = rotary(torch.zeros(1), positions[None])
        made = rotations(source, module, cos_sin, positions[None], len(positions))
        yield observation(source, name, config, positions, made, "attention alone:")


REFUSED = {
    "cohere_compass": ("CohereCompassRotaryEmbedding", "CohereCompassTextConfig"),
    "glm4_moe": ("Glm4MoeRotaryEmbedding", "Glm4MoeConfig"),
    "glm4v": ("Glm4vTextRotaryEmbedding", "Glm4vTextConfig"),
    "glm4v_moe": ("Glm4vMoeTextRotaryEmbedding", "Glm4vMoeTextConfig"),
    "glm_image": ("GlmImageTextRotaryEmbedding", "GlmImageTextConfig"),
    "qwen3_omni_moe": (
        "Qwen3OmniMoeThinkerTextRotaryEmbedding",
        "Qwen3OmniMoeTextConfig",
    ),
}


def refused_defaults():
    """Defaults that are no rotary embedding of a head, or of an odd number of channels.

    The completed configurations are in the walk.
    """
    for family, (name, config_name) in REFUSED.items():
        source = source_of(family)
        config = configs.classes()[config_name]()
        try:
            rotary = getattr(source.module, name)(config)
            cos, _ = rotary(torch.zeros(1), torch.zeros(3, 1, 1))
            theirs = f"transformers rotates {cos.shape[-1]} channels"
        except Exception as error:
            theirs = f"transformers: {type(error).__name__}: {str(error)[:100]}"
        try:
            rope = rope_from_hf(configs.as_dict(config))
            status, ours = DISAGREED, f"attnax: {rope}"
        except ValueError as error:
            status, ours = NOT_APPLICABLE, str(error)
        yield result(source, name, config, status, f"{theirs}; {ours}", more=())


CASES = (
    llama4_vision,
    efficientloftr,
    conformers,
    clvp,
    roformer,
    perception_encoders,
    refused_defaults,
)
