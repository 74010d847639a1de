"""Pages with boxes: UDOP, LayoutLM and PP-DocLayout."""

from ....functional import (
    BoxBias,
    BoxRelationBias,
    BoxRelationBiasParams,
    SumBias,
    T5Bias,
    TableBiasParams,
)
from ..._config.tracked_keys import TrackedKeys
from ..family import BiasFamily
from ..sizes import head_width
from ..stack import Source, Stack, Tensor, as_stored, table, transposed, uniform
from .buckets import of_first_layer

# The distance of each kind of table of UDOP: coordinate, scale and largest distance.
_UDOP = {
    "1d": ("position", 1, 128),
    "horizontal": ("center_x", 100, 100),
    "vertical": ("center_y", 100, 100),
}
_UDOP_KEYS = """
    type num_heads relative_attention_num_buckets bidirectional scaling_factor
    max_distance level augmentation prefix_bucket expand
""".split()


def _tables(**arrays):
    """The parameters of a sum of tables, or of one alone."""
    first, *others = map(TableBiasParams, arrays.values())
    return (first, *others) if others else first


def sum_of_tables(biases, names, form=as_stored):
    """A bias that is the sum of biases with tables, and its source."""
    tensors = []
    for place, (bias, own) in enumerate(zip(biases, names, strict=True)):
        rows = bias.num_rows if isinstance(bias, BoxBias) else bias.num_buckets
        (tensor,) = table(*own, rows=rows, num_heads=bias.num_heads, form=form).tensors
        tensors.append(tensor._replace(field=f"table_{place}"))
    bias = SumBias(biases) if len(biases) > 1 else biases[0]
    return bias, Source(_tables, tuple(tensors))


def _udop_encoder(keys):
    """One table for each entry of `relative_bias_args`, of all layers."""
    heads = keys.integer("num_heads")
    given = keys.get("relative_bias_args", [{"type": kind} for kind in _UDOP])
    if not given:
        raise keys.error(
            f"{keys.said('relative_bias_args')}, which must have at least one entry"
        )
    biases = [_udop_bias(keys, heads, entry) for entry in given]
    own = "encoder.relative_bias.biases.{}.relative_attention_bias.weight"
    # Most classes tie the first table to that of the first layer.
    tied = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    names = [(own.format(0), tied)]
    names += [(own.format(place),) for place in range(1, len(biases))]
    bias, source = sum_of_tables(biases, names)
    return uniform(bias, source, 1.0, keys.integer("num_layers"))


def _udop_bias(keys, heads, entry):
    """The bias of one entry of `relative_bias_args`."""
    where = "an entry of relative_bias_args"
    entry = TrackedKeys(entry, where, {}, (), keys.error, keys.kinds)
    strange = [key for key in entry.values if key not in _UDOP_KEYS]
    if strange:
        raise keys.error(f"{entry.said(strange[0])}, which the code does not read")
    kind = entry.require("type")
    if kind not in tuple(_UDOP):
        raise keys.error(f"{entry.said('type')}, which must be one of {list(_UDOP)}")
    for key, needed in (("num_heads", heads), ("expand", False)):
        if entry.get(key, needed) != needed:
            raise keys.error(f"{entry.said(key)}, which must be {needed}")
    coordinate, scale, farthest = _UDOP[kind]
    rows = int(entry.number("relative_attention_num_buckets", 32))
    farthest = int(entry.number("max_distance", farthest))
    both = entry.get("bidirectional", True)
    scale, prefix = (
        entry.number("scaling_factor", scale),
        entry.get("prefix_bucket", False),
    )
    if kind == "1d" and not prefix and scale == 1:
        return T5Bias(heads, rows, farthest, bidirectional=both)
    return BoxBias(
        heads,
        rows,
        farthest,
        coordinate=coordinate,
        scale=scale,
        bidirectional=both,
        prefix_rows=prefix,
    )


def layout(*, divided):
    """Tables of positions, left and bottom; `divided` with the scores in LayoutLMv3."""

    def rule(keys):
        relative = keys.get("has_relative_attention_bias")
        spatial = keys.get("has_spatial_attention_bias")
        without = () if relative else _names_of_pages("rel_pos_bias")
        without += (
            () if spatial else _names_of_pages("rel_pos_x_bias", "rel_pos_y_bias")
        )
        if not relative and (divided or not spatial):
            # LayoutLMv3 reads the tables of boxes beside the other alone.
            return Stack((), without)
        heads, scale = keys.integer("num_attention_heads"), head_width(keys) ** -0.5
        factor = scale if divided else 1.0
        biases, names = [], []
        if relative:
            sizes = keys.integer("rel_pos_bins"), keys.integer("max_rel_pos")
            biases.append(T5Bias(heads, *sizes, bidirectional=True, factor=factor))
            names.append("rel_pos_bias")
        for axis, side in (("x", "left"), ("y", "bottom")) if spatial else ():
            sizes = keys.integer("rel_2d_pos_bins"), keys.integer("max_rel_2d_pos")
            biases.append(BoxBias(heads, *sizes, coordinate=side, factor=factor))
            names.append(f"rel_pos_{axis}_bias")
        names = [_names_of_pages(own) for own in names]
        bias, source = sum_of_tables(biases, names, transposed)
        stack = uniform(bias, source, scale, keys.integer("num_hidden_layers"))
        return stack._replace(without=without)

    return rule


def _names_of_pages(*tables):
    return tuple(f"encoder.{name}.weight" for name in tables)


def _reading_order(keys):
    """A linear map of the relations of boxes, of all layers."""
    if keys.get("has_relative_attention_bias"):
        raise keys.error(
            f"{keys.said('has_relative_attention_bias')}, with which the code of "
            "transformers does not run"
        )
    if not keys.get("has_spatial_attention_bias"):
        return None
    heads, width = (
        keys.integer("num_attention_heads"),
        keys.integer("relation_bias_embed_dim"),
    )
    base, scale = (keys.number(f"relation_bias_{key}") for key in ("theta", "scale"))
    bias = BoxRelationBias(heads, width, base=base, scale=scale)
    own = "encoder.rel_bias_module.pos_proj."
    tensors = (
        Tensor("weight", (f"{own}weight",), (heads, 4 * width, 1, 1), _kernel),
        Tensor("bias", (f"{own}bias",), (heads,)),
    )
    source = Source(BoxRelationBiasParams, tensors)
    return uniform(
        bias, source, head_width(keys) ** -0.5, keys.integer("num_hidden_layers")
    )


def _kernel(array):
    """The linear map of a convolution with a kernel of one pixel."""
    return array[..., 0, 0].T


ROWS = (
    (
        "udop",
        BiasFamily(
            {"encoder": _udop_encoder, "decoder": of_first_layer("decoder")}, "UDOP"
        ),
    ),
    ("layoutlmv2", BiasFamily({"encoder": layout(divided=False)}, "LayoutLM")),
    ("layoutlmv3", BiasFamily({"encoder": layout(divided=True)}, "LayoutLM")),
    (
        "pp_doclayout_v2.reading_order_config",
        BiasFamily(
            {"reading_order": _reading_order},
            "PP-DocLayout",
        ),
    ),
)
