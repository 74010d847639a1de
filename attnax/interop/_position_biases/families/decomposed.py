"""Pictures with decomposed biases: ViTDet, SAM and its kin."""

from ....functional import DecomposedBias, DecomposedBiasParams
from ..family import BiasFamily
from ..sizes import head_width, sides
from ..stack import Layer, Source, Stack, Tensor, Use

# Names of the attention of a layer, in models whose other names are alike.
_SAM = ("layers.{}.attn.", "blocks.{}.attn.")


def _two_tables(rel_pos_h, rel_pos_w):
    return DecomposedBiasParams((rel_pos_h, rel_pos_w))


def _layer(keys, names, grid):
    """A layer whose tokens attend within a grid."""
    heads, width = keys.integer("num_attention_heads"), head_width(keys)
    tensors = tuple(
        Tensor(field, tuple(name + field for name in names), (2 * side - 1, width))
        for field, side in zip(("rel_pos_h", "rel_pos_w"), grid, strict=True)
    )
    use = Use(DecomposedBias(heads, width, grid), Source(_two_tables, tensors))
    return Layer((use,), width**-0.5)


def decomposed(switch, names, in_windows=lambda keys, layer: False):
    """Two tables for each layer, unless the config turns the `switch` off.

    `in_windows` is the rule for the layers whose tokens attend within windows.
    """

    def rule(keys):
        if not keys.get(switch, False):
            own = (name.format(0) for name in names)
            return Stack(
                (), tuple(f"{name}rel_pos_{axis}" for name in own for axis in "hw")
            )
        sizes = zip(sides(keys, "image_size"), sides(keys, "patch_size"), strict=True)
        grid = tuple(side // patch for side, patch in sizes)
        layers = []
        for layer in range(keys.integer("num_hidden_layers")):
            window = in_windows(keys, layer) and keys.integer("window_size")
            own = tuple(name.format(layer) for name in names)
            layers.append(_layer(keys, own, (window, window) if window else grid))
        return Stack(tuple(layers))

    return rule


def _listed(keys, layer):
    return layer in (keys.get("window_block_indices") or ())


def _not_listed(keys, layer):
    return layer not in (keys.get("global_attn_indexes") or ())


ROWS = (
    (
        "vitdet",
        BiasFamily(
            {
                "vision": decomposed(
                    "use_relative_position_embeddings",
                    ("encoder.layer.{}.attention.", "blocks.{}.attn."),
                    _listed,
                )
            },
            "decomposed",
        ),
    ),
    (
        "seggpt",
        BiasFamily(
            {
                "vision": decomposed(
                    "use_relative_position_embeddings",
                    ("encoder.layers.{}.attention.", "blocks.{}.attn."),
                )
            },
            "decomposed",
        ),
    ),
    (
        """
        sam_vision_model sam_hq_vision_model got_ocr2_vision pp_chart2table_vision
        slanext_vision        pp_formulanet_vision deepseek_ocr2_sam_vision_model
        unlimited_ocr_sam_vision_model
        """,
        BiasFamily(
            {"vision": decomposed("use_rel_pos", _SAM, _not_listed)}, "decomposed"
        ),
    ),
)
