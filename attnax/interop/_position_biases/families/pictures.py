"""Whole pictures with a table of biases: BEiT and LeViT."""

from ....functional import OffsetBias, WindowBias
from ..._config.values import COUNTS
from ..family import BiasFamily
from ..sizes import head_width, sides, size
from ..stack import Layer, Stack, Use, table, transposed

_TABLE = "relative_position_bias.relative_position_bias_table"


def _beit(keys):
    """A table of each layer, one of all layers, or both, whose sum is added."""
    own = keys.get("use_relative_position_bias", False)
    shared = keys.get("use_shared_relative_position_bias", False)
    without = () if own else _of_layer(0)
    without += () if shared else _OF_ALL
    if not (own or shared):
        return Stack((), without)
    bias = _beit_bias(keys)
    sizes = {"rows": bias.num_rows, "num_heads": bias.num_heads}
    of_all = table(*_OF_ALL, **sizes)
    scale = head_width(keys) ** -0.5
    layers = []
    for layer in range(keys.integer("num_hidden_layers")):
        uses = (Use(bias, table(*_of_layer(layer), **sizes)),) if own else ()
        uses += (Use(bias, of_all),) if shared else ()
        layers.append(Layer(uses, scale))
    return Stack(tuple(layers), without)


# Names of the table of all layers of BEiT.
_OF_ALL = (
    f"encoder.{_TABLE}",
    f"shared_position_bias.{_TABLE.split('.')[1]}",
    "rel_pos_bias.relative_position_bias_table",
    f"beit.encoder.{_TABLE}",  # a backbone, whose other names have no prefix
    f"beit.shared_position_bias.{_TABLE.split('.')[1]}",
)


def _of_layer(layer):
    """Names of the table of one layer of BEiT."""
    return (
        f"encoder.layer.{layer}.attention.attention.{_TABLE}",
        f"layers.{layer}.{_TABLE}",
        f"blocks.{layer}.attn.relative_position_bias_table",
    )


def _beit_bias(keys):
    """The bias of the grid that the tables were made for, with a class token."""
    patch = size(keys, "patch_size")
    grid = [side // patch for side in sides(keys, "image_size")]
    return WindowBias(keys.integer("num_attention_heads"), grid, num_prefix_tokens=1)


def _levit(keys):
    """A table for each attention; those between stages ask at some places only."""
    side = size(keys, "image_size") // size(keys, "patch_size")
    layers, depths = [], keys.require("depths")
    for stage, depth in enumerate(depths):
        heads = _of_stage(keys, "num_attention_heads", stage)
        width = _of_stage(keys, "key_dim", stage)
        step = 2 if _of_stage(keys, "mlp_ratio", stage, 0) else 1
        own = f"stages.{stage}.layers.{{}}.{{}}attention_biases"
        for place in range(0, depth * step, step):
            layers.append(_offsets(own.format(place, "module."), heads, side, width))
        between = _subsample(keys, stage) if stage + 1 < len(depths) else None
        if between is not None:
            width, heads, stride = between
            layers.append(_offsets(own.format(depth * step, ""), heads, side, width))
            side = (side - 1) // stride + 1
    return Stack(tuple(layers))


def _of_stage(keys, key, stage, least=1):
    values = keys.require(key)
    if not isinstance(values, list | tuple) or len(values) <= stage:
        raise keys.error(f"{keys.said(key)}, which must have one number for each stage")
    if values[stage] < least:
        raise keys.error(f"{keys.said(key)}, whose numbers must be at least {least}")
    return values[stage]


def _subsample(keys, stage):
    """Width, heads and stride of the attention after a stage; `None` without one."""
    given = keys.get("down_ops")
    if given is None:
        width = _of_stage(keys, "key_dim", 0)
        return width, _of_stage(keys, "hidden_sizes", stage) // width, 2
    operation = given[stage] if stage < len(given) else ()
    if not operation or operation[0] != "Subsample":
        return None
    numbers = operation[1:]
    if len(numbers) != 5 or not COUNTS.test(numbers) or 0 in (*numbers[:2], numbers[4]):
        raise keys.error(
            f"{keys.said('down_ops')}, whose 'Subsample' must have the width of a "
            "head, the number of heads, two ratios and a stride"
        )
    return numbers[0], numbers[1], numbers[4]


def _offsets(tensor, num_heads, side, width):
    """An attention among the places of a square, by its tensor and its sizes."""
    bias = OffsetBias(num_heads, (side, side))
    source = table(tensor, rows=bias.num_rows, num_heads=num_heads, form=transposed)
    return Layer((Use(bias, source),), width**-0.5)


ROWS = (
    (
        "beit data2vec-vision",
        BiasFamily(
            {"vision": _beit},
            "BEiT",
            note="its code reads the table of a grid that is no square with rows and "
            "columns exchanged",
        ),
    ),
    ("levit", BiasFamily({"vision": _levit}, "LeViT")),
)
