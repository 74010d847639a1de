"""Models whose biases read hidden states or segments: WavLM, ProphetNet, CPM-Ant."""

from ....functional import (
    BiasGateParams,
    ClippedDistanceBias,
    GatedBias,
    GatedBiasParams,
    HiddenStateBias,
    HiddenStateBiasParams,
    SegmentBias,
    T5Bias,
    TableBiasParams,
)
from ..family import BiasFamily
from ..sizes import head_width, size
from ..stack import Layer, Source, Stack, Tensor, Use, table, transposed, uniform


def _wavlm(keys):
    """The table of the first layer, with a gate in each layer."""
    heads, width = keys.integer("num_attention_heads"), head_width(keys)
    sizes = keys.integer("num_buckets"), keys.integer("max_bucket_distance")
    bias = GatedBias(T5Bias(heads, *sizes, bidirectional=True), width)
    own = "encoder.layers.{}.attention."
    first = own.format(0) + "rel_attn_embed.weight"
    layers = []
    for layer in range(keys.integer("num_hidden_layers")):
        gate = own.format(layer) + "gru_rel_pos_"
        tensors = (
            Tensor("table", (first,), (sizes[0], heads)),
            Tensor("weight", (f"{gate}linear.weight",), (8, width), transposed),
            Tensor("bias", (f"{gate}linear.bias",), (8,)),
            Tensor("scale", (f"{gate}const",), (1, heads, 1, 1), _flat),
        )
        use = Use(bias, Source(_gated, tensors))
        layers.append(Layer((use,), width**-0.5))
    return Stack(tuple(layers))


def _flat(array):
    return array.reshape(-1)


def _gated(table, **gate):
    return GatedBiasParams(TableBiasParams(table), BiasGateParams(**gate))


def _prophetnet(keys):
    """A linear map of the hidden state in each layer of the decoder."""
    heads, width = (
        keys.integer("num_decoder_attention_heads"),
        keys.integer("hidden_size"),
    )
    buckets = keys.integer("num_buckets")
    bias = HiddenStateBias(heads, width, buckets, keys.integer("relative_max_distance"))

    def weight(array):
        return array.reshape(buckets, heads, width).transpose(2, 0, 1)

    def offset(array):
        return array.reshape(buckets, heads)

    layers = []
    for layer in range(keys.integer("num_decoder_layers")):
        own = f"decoder.layers.{layer}.self_attn.relative_pos_embeddings."
        tensors = (
            Tensor("weight", (f"{own}weight",), (buckets * heads, width), weight),
            Tensor("bias", (f"{own}bias",), (buckets * heads,), offset),
        )
        use = Use(bias, Source(HiddenStateBiasParams, tensors))
        scale = head_width(keys, "num_decoder_attention_heads") ** -0.5
        layers.append(Layer((use,), scale))
    return Stack(tuple(layers))


def _cpmant(keys):
    """A table of buckets inside a segment and of pairs of segments."""
    bias = SegmentBias(
        keys.integer("num_attention_heads"),
        keys.integer("segment_types"),
        num_buckets=keys.integer("position_bias_num_buckets"),
        max_distance=keys.integer("position_bias_max_distance"),
    )
    source = table(
        "position_bias.relative_attention_bias",
        rows=bias.num_rows,
        num_heads=bias.num_heads,
    )
    scale = size(keys, "dim_head") ** -0.5
    return uniform(bias, source, scale, keys.integer("num_hidden_layers"))


def _phi4_audio(keys):
    """A table of clipped distances, of all blocks."""
    bias = ClippedDistanceBias(
        keys.integer("num_attention_heads"),
        keys.integer("bias_max_distance"),
        symmetric=keys.get("bias_symmetric"),
    )
    source = table(
        "relative_attention_bias_layer.bias_values.weight",
        rows=bias.num_rows,
        num_heads=bias.num_heads,
    )
    return uniform(bias, source, head_width(keys) ** -0.5, keys.integer("num_blocks"))


ROWS = (
    ("wavlm", BiasFamily({"encoder": _wavlm}, "WavLM")),
    (
        "prophetnet",
        BiasFamily(
            {"decoder": _prophetnet},
            "ProphetNet",
            note="its code mixes up queries, streams and heads of the predicting "
            "streams when it reads more than one token at a time",
        ),
    ),
    ("cpmant", BiasFamily({"decoder": _cpmant}, "CPM-Ant")),
    (
        "phi4_multimodal_audio",
        BiasFamily(
            {"encoder": _phi4_audio},
            "Phi-4",
            note="it adds 1 to the biases of keys that are no padding, and masks none; "
            "a symmetric table fails beyond its last distance",
        ),
    ),
)
