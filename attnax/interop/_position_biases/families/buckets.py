"""Models with tables of buckets of distances: T5 and its kin, MPNet."""

from functools import partial

from ....functional import T5Bias
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import Layer, Stack, Use, table, uniform


def t5_bias(keys, *, bidirectional):
    """The bias that the keys of T5 tell."""
    return T5Bias(
        keys.integer("num_heads"),
        keys.integer("relative_attention_num_buckets"),
        keys.integer("relative_attention_max_distance"),
        bidirectional=bidirectional,
    )


def bucket_table(bias, *names):
    """A table with a row for each bucket, under one of these names."""
    return table(*names, rows=bias.num_buckets, num_heads=bias.num_heads)


def _count(keys, stack):
    if stack == "decoder" and keys.get("num_decoder_layers") is not None:
        return keys.integer("num_decoder_layers")
    return keys.integer("num_layers")


def _name(stack, layer, attention="SelfAttention", table="relative_attention_bias"):
    return f"{stack}.block.{layer}.layer.0.{attention}.{table}.weight"


def of_first_layer(stack):
    """The stack whose first layer has the table of all; scores are not scaled."""

    def rule(keys):
        bias = t5_bias(keys, bidirectional=stack == "encoder")
        source = bucket_table(bias, _name(stack, 0))
        return uniform(bias, source, 1.0, _count(keys, stack))

    return rule


def of_each_layer(stack):
    """The stack whose layers have tables of their own; scores are not scaled."""

    def rule(keys):
        bias = t5_bias(keys, bidirectional=stack == "encoder")
        layers = range(_count(keys, stack))
        uses = [Use(bias, bucket_table(bias, _name(stack, layer))) for layer in layers]
        return Stack(tuple(Layer((use,), 1.0) for use in uses))

    return rule


def _longt5_encoder(keys):
    """Local attention, or that and a second table for the summaries of blocks."""
    bias = t5_bias(keys, bidirectional=True)
    kind = keys.get("encoder_attention_type")
    kinds = {"local": "LocalSelfAttention"}
    kinds["transient-global"] = "TransientGlobalSelfAttention"
    if kind not in kinds:
        raise keys.error(
            f"{keys.said('encoder_attention_type')}, which must be one of "
            f"{sorted(kinds)}"
        )
    own = partial(_name, "encoder", 0, kinds[kind])
    uses = (Use(bias, bucket_table(bias, own())),)
    if kind == "transient-global":
        source = bucket_table(bias, own("global_relative_attention_bias"))
        uses += (Use(bias, source, "block_scores"),)
    return Stack((Layer(uses, 1.0),) * keys.integer("num_layers"))


def _pix2struct(keys):
    """A decoder, whatever the config says about it."""
    bias = t5_bias(keys, bidirectional=False)
    own = "layer.0.self_attention.attention.relative_attention_bias.weight"
    return uniform(bias, bucket_table(bias, own), 1.0, keys.integer("num_layers"))


def _mpnet(keys):
    """32 buckets up to a distance of 128, whatever the number of rows."""
    bias = T5Bias(keys.integer("num_attention_heads"), bidirectional=True)
    rows = keys.integer("relative_attention_num_buckets")
    if rows < bias.num_buckets:
        raise keys.error(
            f"{keys.said('relative_attention_num_buckets')}, which must be at least "
            f"{bias.num_buckets}, the number of buckets in the code of MPNet"
        )
    source = table(
        "encoder.relative_attention_bias.weight",
        rows=rows,
        num_heads=bias.num_heads,
        form=_first_32,
    )
    scale = head_width(keys) ** -0.5
    return uniform(bias, source, scale, keys.integer("num_hidden_layers"))


def _first_32(array):
    return array[:32]


_STACKS = ("encoder", "decoder")

ROWS = (
    (
        "t5 mt5 switch_transformers pop2piano",
        BiasFamily({s: of_first_layer(s) for s in _STACKS}, "T5"),
    ),
    ("umt5", BiasFamily({s: of_each_layer(s) for s in _STACKS}, "T5")),
    (
        "longt5",
        BiasFamily(
            {"encoder": _longt5_encoder, "decoder": of_first_layer("decoder")}, "T5"
        ),
    ),
    ("pix2struct_text_model", BiasFamily({"decoder": _pix2struct}, "T5")),
    ("mpnet", BiasFamily({"encoder": _mpnet}, "T5")),
)
