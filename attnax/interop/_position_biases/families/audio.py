"""The audio towers of Gemma: sinusoids of the distance, in blocks."""

from ....functional import GemmaAudioBias, GemmaAudioBiasParams
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import Layer, Source, Stack, Tensor, Use


def gemma_audio(names, prefix="", check=None):
    """Projected sinusoids in each layer; queries have a learned scale.

    `names` are those of a layer and of its two tensors, and `prefix` stands before
    the keys of Gemma 3n. `check` is a rule that refuses what the code has otherwise.
    """
    stem, weight, scale = names

    def rule(keys):
        heads = keys.integer(f"{prefix}num_attention_heads")
        width, d_model = (
            head_width(keys, f"{prefix}num_attention_heads"),
            keys.integer("hidden_size"),
        )
        left = keys.integer(f"{prefix}attention_context_left")
        right = keys.integer(f"{prefix}attention_context_right")
        block = keys.integer(f"{prefix}attention_chunk_size")
        if check is not None:
            check(keys, left, right, block)
        bias = GemmaAudioBias(heads, width, d_model, left=left - 1, right=right)

        def by_head(array):
            return array.reshape(heads, width, d_model)

        layers = []
        for layer in range(keys.integer(f"{prefix}num_hidden_layers")):
            own = stem.format(layer)
            tensors = (
                Tensor("weight", (own + weight,), (heads * width, d_model), by_head),
                Tensor("per_dim_scale", (own + scale,), (width,)),
            )
            use = Use(bias, Source(GemmaAudioBiasParams, tensors))
            layers.append(Layer((use,), None))
        return Stack(tuple(layers))

    return rule


def _check_gemma4(keys, left, right, block):
    """The code of Gemma 4 counts distances from the middle of its blocks."""
    if right != 0 or (block + left - 1 + right) // 2 != left - 1:
        raise keys.error(
            "the code of 'gemma4_audio' counts distances that are true for "
            "attention_context_right=0 and attention_chunk_size = "
            "attention_context_left - 1 alone, but the config holds "
            f"{keys.said('attention_chunk_size').split('holds ')[1]}, "
            f"{keys.said('attention_context_left').split('holds ')[1]} and "
            f"{keys.said('attention_context_right').split('holds ')[1]}"
        )


_3N = (
    "conformer.{}.attention.attn.",
    "relative_position_embedding.pos_proj.weight",
    "per_dim_scale",
)
_4 = ("layers.{}.self_attn.", "relative_k_proj.weight", "per_dim_scale")

ROWS = (
    ("gemma3n_audio", BiasFamily({"audio": gemma_audio(_3N, "conf_")}, "Gemma audio")),
    (
        "gemma4_audio",
        BiasFamily(
            {"audio": gemma_audio(_4, check=_check_gemma4)},
            "Gemma audio",
            note="other settings than the released ones count distances from another "
            "place, and are refused",
        ),
    ),
)
