"""Transformer-XL's bias: conformers, XLNet and Funnel Transformer."""

import operator

from ....functional import TransformerXLBias, TransformerXLBiasParams
from ..._config.values import MOST
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import Layer, Source, Stack, Tensor, Use, as_stored

# The names of W, u and v in a layer.
WAV2VEC2 = (
    "encoder.layers.{}.self_attn.",
    ("linear_pos.weight", "pos_bias_u", "pos_bias_v"),
)
_PARAKEET = ("layers.{}.self_attn.", ("relative_k_proj.weight", "bias_u", "bias_v"))


def conformer(
    names,
    heads="num_attention_heads",
    layers="num_hidden_layers",
    width=head_width,
):
    """Projected sinusoids in each layer, interleaved, over the whole hidden size."""
    stem, own = names

    def rule(keys):
        num_heads, d_model = keys.integer(heads), keys.integer("hidden_size")
        bias = TransformerXLBias(num_heads, width(keys, heads), d_model)
        vectors = (num_heads, bias.head_dim)
        shapes = ((num_heads * bias.head_dim, d_model), vectors, vectors)

        def by_head(array):
            return array.reshape(num_heads, bias.head_dim, d_model)

        forms = (by_head, as_stored, as_stored)
        found = []
        for layer in range(keys.integer(layers)):
            tensors = tuple(
                Tensor(field, (stem.format(layer) + name,), shape, form)
                for field, name, shape, form in zip(
                    ("weight", "u", "v"), own, shapes, forms, strict=True
                )
            )
            use = Use(bias, Source(TransformerXLBiasParams, tensors))
            found.append(Layer((use,), bias.factor))
        return Stack(tuple(found))

    return rule


def if_relative(rule):
    """The rule, unless `position_embeddings_type` is null or rotary."""

    def chosen(keys):
        kind = keys.get("position_embeddings_type")
        if keys.null("position_embeddings_type") or kind == "rotary":
            return None
        if kind != "relative":
            raise keys.error(
                f"{keys.said('position_embeddings_type')}, which must be 'relative', "
                "'rotary' or null"
            )
        return rule(keys)

    return chosen


def _fastspeech(stack):
    names = (f"{stack}.conformer_layers.{{}}.self_attn.", WAV2VEC2[1])
    return conformer(names, f"{stack}_num_attention_heads", f"{stack}_layers")


def _head_dim(keys, heads):
    """`head_dim`, which may differ from the share of the hidden size."""
    if keys.get("head_dim") is not None:
        return keys.integer("head_dim")
    return head_width(keys, heads)


def _source(bias, own, weight, segment_keys):
    """The tensors of a layer of XLNet or Funnel, whose names begin with `own`."""
    heads = (bias.num_heads, bias.head_dim)
    return Source(
        TransformerXLBiasParams,
        (
            Tensor("weight", (own + weight,), (bias.d_model, *heads), _heads_first),
            Tensor("v", (f"{own}r_r_bias",), heads),
            Tensor("u", (f"{own}r_w_bias",), heads),
            Tensor("s", (f"{own}r_s_bias",), heads),
            Tensor("segment_keys", (f"{own}seg_embed",), (2, *heads), segment_keys),
        ),
    )


def _heads_first(array):
    return array.transpose(1, 2, 0)


def _reversed(array):
    return array[::-1]


def _xlnet(keys):
    """Sinusoids and segments in each layer, which its mask makes causal for "uni"."""
    kind = keys.get("attn_type", "bi")
    if kind not in ("bi", "uni"):
        raise keys.error(f"{keys.said('attn_type')}, which must be 'bi' or 'uni'")
    limit = keys.integer("clamp_len")
    width = head_width(keys)
    if keys.get("d_head", width) != width:
        raise keys.error(f"{keys.said('d_head')}, which must be {width}")
    bias = TransformerXLBias(
        keys.integer("num_attention_heads"),
        width,
        keys.integer("hidden_size"),
        layout="sin_cos",
        max_distance=limit if limit > 0 else None,
        segments=True,
    )
    own = "layer.{}.rel_attn."
    layers = [
        Layer((Use(bias, _source(bias, own.format(n), "r", as_stored)),), bias.factor)
        for n in range(keys.integer("num_hidden_layers"))
    ]
    return Stack(tuple(layers))


def _funnel_bias(keys):
    kind = keys.get("attention_type", "relative_shift")
    if kind not in ("relative_shift", "factorized"):
        raise keys.error(
            f"{keys.said('attention_type')}, which must be 'relative_shift' or "
            "'factorized'"
        )
    return TransformerXLBias(
        keys.integer("num_attention_heads"),
        keys.integer("d_head"),
        keys.integer("hidden_size"),
        layout="sin_cos",
        segments=True,
        class_segment=2,
        class_token=bool(keys.get("separate_cls")),
    )


def _funnel_layer(bias, own):
    source = _source(bias, f"{own}.attention.", "r_kernel", _reversed)
    return Layer((Use(bias, source),), bias.factor)


def _funnel_encoder(keys):
    """The layers of each block, which may run several times."""
    bias, sizes = _funnel_bias(keys), keys.require("block_sizes")
    repeats = keys.get("block_repeats") or [1] * len(sizes)
    if len(repeats) != len(sizes) or sum(map(operator.mul, sizes, repeats)) > MOST:
        raise keys.error(
            f"{keys.said('block_repeats')}, which must have one number for each of "
            f"block_sizes={sizes}, for at most {MOST} layers"
        )
    layers = []
    for block, (count, times) in enumerate(zip(sizes, repeats, strict=True)):
        for number in range(count):
            layer = _funnel_layer(bias, f"encoder.blocks.{block}.{number}")
            layers += [layer] * times
    return Stack(tuple(layers))


def _funnel_decoder(keys):
    bias, count = _funnel_bias(keys), keys.integer("num_decoder_layers")
    return Stack(
        tuple(_funnel_layer(bias, f"decoder.layers.{n}") for n in range(count))
    )


_SCHEME = "Transformer-XL"
ROWS = (
    (
        "wav2vec2-conformer",
        BiasFamily({"encoder": if_relative(conformer(WAV2VEC2))}, _SCHEME),
    ),
    (
        "seamless_m4t",
        BiasFamily(
            {
                "speech_encoder": if_relative(
                    conformer(
                        (f"speech_encoder.{WAV2VEC2[0]}", WAV2VEC2[1]),
                        "speech_encoder_attention_heads",
                        "speech_encoder_layers",
                    )
                )
            },
            _SCHEME,
        ),
    ),
    (
        "fastspeech2_conformer",
        BiasFamily({s: _fastspeech(s) for s in ("encoder", "decoder")}, _SCHEME),
    ),
    (
        "parakeet_encoder nemotron_asr_streaming_encoder",
        BiasFamily({"encoder": conformer(_PARAKEET, width=_head_dim)}, _SCHEME),
    ),
    ("xlnet", BiasFamily({"encoder": _xlnet}, _SCHEME)),
    (
        "funnel",
        BiasFamily({"encoder": _funnel_encoder, "decoder": _funnel_decoder}, _SCHEME),
    ),
)
