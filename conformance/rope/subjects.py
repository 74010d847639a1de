"""The rotary classes, who uses them, and with which classes of configs."""

from dataclasses import dataclass

from . import configs
from .sources import Source, sources

# Attentions that make their rotary class themselves: the models around them.
AROUND = {
    "IdeficsAttention": "IdeficsModel",
    "KyutaiSpeechToTextAttention": "KyutaiSpeechToTextModel",
    "MoshiAttention": "MoshiModel",
    "RecurrentGemmaAttention": "RecurrentGemmaModel",
}
# Models that rotate by a table of their own and have no rotary class.
WITHOUT_CLASS = {"codegen": "CodeGenModel", "gptj": "GPTJModel"}
# Users inside an attention of a model that is a user too.
INNER = ("DeepseekV4HCACompressor", "DeepseekV4CSACompressor", "DeepseekV4Indexer")
# Classes with cases of their own, in `irregular` and `fractional`.
ELSEWHERE = frozenset(
    """
    ClvpRotaryPositionalEmbedding DINOv3ViTRopePositionEmbedding
    EfficientLoFTRRotaryEmbedding EomtDinov3RotaryEmbedding EsmFold2RotaryEmbedding
    HunYuanVLRotaryEmbedding Llama4VisionRotaryEmbedding MusicFlamingoRotaryEmbedding
    PeAudioVideoEncoderRotaryEmbedding PeVideoEncoderRotaryEmbedding
    Sapiens2RopePositionEmbedding SeamlessM4TConformerRotaryPositionalEmbedding
    Wav2Vec2BertRotaryPositionalEmbedding Wav2Vec2ConformerRotaryPositionalEmbedding
    """.split()
)


@dataclass(frozen=True)
class Subject:
    """A rotary class, a class that uses it, and a class of configs that this one gets.

    Attributes:
        source: File of the classes.
        name: Name of the rotary class; `None` if the attention has a table itself.
        user: Class of the model.
        config_class: Class of its configs.
    """

    source: Source
    name: str | None
    user: type
    config_class: type


def subjects():
    """Every subject, in the order of the files."""
    for source in sources():
        pairs = [
            (name, AROUND.get(user, user))
            for name in source.rotary_classes()
            if name not in ELSEWHERE
            for user in source.users(name)
            if user not in INNER
        ]
        if source.family in WITHOUT_CLASS:
            pairs.append((None, WITHOUT_CLASS[source.family]))
        for name, user_name in dict.fromkeys(pairs):
            user = getattr(source.module, user_name)
            for config_class in configs.of_user(user):
                yield Subject(source, name, user, config_class)


def names_of(subject):
    """The names by which a command line may call the subject."""
    return {subject.source.family, subject.name, subject.config_class.__name__}
