"""Models with relative keys: wav2vec2-BERT, SpeechT5, Granite Speech and VITS."""

from ....functional import RelativeKeyBias, RelativeKeyParams, RelativeValueParams
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import Layer, Source, Stack, Tensor, Use, uniform
from .transformer_xl import WAV2VEC2, conformer

_EMBEDDING = "encoder.layers.{}.self_attn.distance_embedding.weight"


def _keys_source(bias, name):
    shape = (bias.num_rows, bias.head_dim)
    return Source(RelativeKeyParams, (Tensor("keys", (name,), shape),))


def of_each_layer(bias, count, name):
    """A stack whose layers have tables of their own, by the format of their names."""
    uses = (Use(bias, _keys_source(bias, name.format(layer))) for layer in range(count))
    scale = bias.head_dim**-0.5
    return Stack(tuple(Layer((use,), scale) for use in uses))


def clipped(keys, heads):
    """The bias of distances clipped to two limits."""
    left, right = (
        keys.integer(f"{side}_max_position_embeddings") for side in ("left", "right")
    )
    num_heads = keys.integer(heads)
    return RelativeKeyBias(num_heads, head_width(keys, heads), left=left, right=right)


def _wav2vec2_bert(keys):
    """Relative keys, sinusoids as in conformers, or no bias."""
    kind = keys.get("position_embeddings_type")
    if keys.null("position_embeddings_type") or kind == "rotary":
        return None
    if kind == "relative":
        return conformer(WAV2VEC2)(keys)
    if kind != "relative_key":
        raise keys.error(
            f"{keys.said('position_embeddings_type')}, which must be 'relative_key', "
            "'relative', 'rotary' or null"
        )
    bias = clipped(keys, "num_attention_heads")
    return of_each_layer(bias, keys.integer("num_hidden_layers"), _EMBEDDING)


def _seamless_v2(keys):
    """Relative keys in the encoder of speech, unless the config has another type."""
    kind = keys.get("position_embeddings_type")
    if keys.null("position_embeddings_type") or kind != "relative_key":
        return None
    bias = clipped(keys, "speech_encoder_attention_heads")
    count = keys.integer("speech_encoder_layers")
    return of_each_layer(bias, count, f"speech_encoder.{_EMBEDDING}")


def _speecht5(keys):
    """One table of all layers, by the query's position minus the key's."""
    heads = keys.integer("encoder_attention_heads")
    most = keys.integer("encoder_max_relative_position")
    bias = RelativeKeyBias(
        heads,
        head_width(keys, "encoder_attention_heads"),
        left=most - 1,
        right=most,
        direction="query_minus_key",
    )
    source = _keys_source(bias, "encoder.wrapped_encoder.embed_positions.pe_k.weight")
    return uniform(bias, source, bias.head_dim**-0.5, keys.integer("encoder_layers"))


def granite(heads, width, most, name):
    """A table of each layer, by the query's position minus the key's, in blocks.

    The caller masks keys of other blocks of `context_size` tokens.
    """

    def rule(keys):
        farthest, block = keys.integer(most), keys.integer("context_size")
        if not 0 < block <= farthest:
            raise keys.error(
                f"{keys.said('context_size')}, which must be positive and at most "
                f"{most}={farthest}"
            )
        bias = RelativeKeyBias(
            keys.integer(heads),
            width(keys),
            left=farthest,
            right=farthest,
            direction="query_minus_key",
        )
        return of_each_layer(bias, keys.integer("num_hidden_layers"), name)

    return rule


def _granite_width(keys):
    if keys.get("dim_head") is not None:
        return keys.integer("dim_head")
    return head_width(keys)


def _granite5_width(keys):
    if keys.get("head_dim") is not None:
        return keys.integer("head_dim")
    return head_width(keys)


def _vits(keys):
    """Keys and values of the distances in a window, in each layer."""
    if keys.null("window_size"):
        return None
    side = keys.integer("window_size")
    if side < 1:
        raise keys.error(f"{keys.said('window_size')}, which must be positive or null")
    bias = RelativeKeyBias(
        keys.integer("num_attention_heads"),
        head_width(keys),
        left=side,
        right=side,
        zero_outside=True,
    )
    shape = (1, bias.num_rows, bias.head_dim)
    layers = []
    for layer in range(keys.integer("num_hidden_layers")):
        own = f"text_encoder.encoder.layers.{layer}.attention.emb_rel_"
        of_keys = Source(
            RelativeKeyParams, (Tensor("keys", (f"{own}k",), shape, _first),)
        )
        of_values = Source(
            RelativeValueParams, (Tensor("values", (f"{own}v",), shape, _first),)
        )
        uses = (Use(bias, of_keys), Use(bias, of_values, "values"))
        layers.append(Layer(uses, bias.head_dim**-0.5))
    return Stack(tuple(layers))


def _first(array):
    return array[0]


_GRANITE = granite(
    "num_attention_heads",
    _granite_width,
    "max_pos_emb",
    "encoder.layers.{}.attn.rel_pos_emb.weight",
)
_GRANITE_5 = granite(
    "num_attention_heads",
    _granite5_width,
    "max_position_embeddings",
    "layers.{}.self_attn.rel_pos_emb.weight",
)

ROWS = (
    (
        "wav2vec2-bert",
        BiasFamily(
            {"encoder": _wav2vec2_bert},
            "relative keys, or Transformer-XL",
        ),
    ),
    (
        "seamless_m4t_v2",
        BiasFamily(
            {"speech_encoder": _seamless_v2},
            "relative keys",
            note="its eager attention adds the mask of chunks as 0 and 1, and so masks "
            "nothing",
        ),
    ),
    ("speecht5", BiasFamily({"encoder": _speecht5}, "relative keys")),
    (
        "granite_speech_encoder granite_speech_plus_encoder",
        BiasFamily({"encoder": _GRANITE}, "relative keys"),
    ),
    ("granite_speech5_encoder", BiasFamily({"encoder": _GRANITE_5}, "relative keys")),
    ("vits", BiasFamily({"text_encoder": _vits}, "relative keys and values")),
)
