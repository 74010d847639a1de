"""Pictures and sound in windows, with biases for each block: Swin and Swin v2."""

from ....functional import LogCoordinateBias, LogCoordinateBiasParams, WindowBias
from ..family import BiasFamily
from ..sizes import sides, size, stages
from ..stack import Layer, Source, Stack, Tensor, Use, as_stored, table, transposed


def swin(heads="num_heads", width="embed_dim"):
    """A table for each block of each stage."""

    def rule(keys):
        side = keys.integer("window_size")
        layers = []
        for stage, (count, num_heads) in enumerate(stages(keys, heads)):
            bias = WindowBias(num_heads, (side, side))
            scale = _width(keys, width, stage, num_heads) ** -0.5
            for block in range(count):
                source = table(
                    *_names(stage, block), rows=bias.num_rows, num_heads=num_heads
                )
                layers.append(Layer((Use(bias, source),), scale))
        return Stack(tuple(layers))

    return rule


def _width(keys, key, stage, num_heads):
    """The width of a head of a stage, each of which doubles the width of all."""
    whole = size(keys, key) * 2**stage
    if whole % num_heads:
        raise keys.error(f"{num_heads} heads must divide {whole}, the width of a stage")
    return whole // num_heads


def _names(stage, block):
    own = f"layers.{stage}.blocks.{block}."
    return (
        f"{own}attention.self.relative_position_bias_table",
        f"{own}attention.relative_position_bias.relative_position_bias_table",
        f"{own}attn.relative_position_bias_table",
    )


_HIDDEN = 512  # width of the network of Swin v2
_NETWORK = (
    ("hidden_weight", "0.weight", (_HIDDEN, 2), transposed),
    ("hidden_bias", "0.bias", (_HIDDEN,), as_stored),
    ("weight", "2.weight", (None, _HIDDEN), transposed),
)


def swin_v2(*, halved, own):
    """A network for each block; the scores are cosines with a learned factor.

    Windows are no larger than the height of the grid, which stages may have `halved`.
    `own` is the beginning of the names of a block.
    """

    def rule(keys):
        (height, _), (patch, _) = sides(keys, "image_size"), sides(keys, "patch_size")
        pretrained = keys.get("pretrained_window_sizes")
        layers = []
        for stage, (count, num_heads) in enumerate(stages(keys, "num_heads")):
            grid = height // patch // (2**stage if halved else 1)
            side = min(grid, keys.integer("window_size"))
            first = _first_window(keys, pretrained, stage)
            bias = LogCoordinateBias(num_heads, (side, side), pretrained_window=first)
            for block in range(count):
                source = _network(own.format(stage, block), num_heads)
                layers.append(Layer((Use(bias, source),), None))
        return Stack(tuple(layers))

    return rule


def _first_window(keys, sizes, stage):
    """The window of the first training of a stage; `None` for 0."""
    if sizes is None:
        return None
    if not isinstance(sizes, list | tuple) or len(sizes) <= stage:
        raise keys.error(
            f"{keys.said('pretrained_window_sizes')}, which must have one number for "
            "each stage"
        )
    side = sizes[stage]
    if side == 1:
        raise keys.error(
            f"{keys.said('pretrained_window_sizes')}, but a window of 1 has no "
            "differences to divide by"
        )
    return (side, side) if side else None


def _network(own, num_heads):
    stems = (
        f"{own}attention.self.continuous_position_bias_mlp.",
        f"{own}attn.cpb_mlp.",
    )
    return Source(
        LogCoordinateBiasParams,
        tuple(
            Tensor(
                field,
                tuple(stem + name for stem in stems),
                tuple(num_heads if size is None else size for size in shape),
                form,
            )
            for field, name, shape, form in _NETWORK
        ),
    )


ROWS = (
    ("swin donut-swin maskformer-swin", BiasFamily({"vision": swin()}, "Swin")),
    (
        "clap_audio_model",
        BiasFamily(
            {"audio": swin("num_attention_heads", "patch_embeds_hidden_size")}, "Swin"
        ),
    ),
    (
        "swinv2",
        BiasFamily(
            {"vision": swin_v2(halved=True, own="layers.{}.blocks.{}.")}, "Swin v2"
        ),
    ),
    (
        "swin2sr",
        BiasFamily(
            {"vision": swin_v2(halved=False, own="stages.{}.layers.{}.")}, "Swin v2"
        ),
    ),
)
