"""Pictures and sound in windows, with a table of biases for each block: Swin."""

from ....functional import WindowBias
from ..family import BiasFamily
from ..sizes import stages
from ..stack import Layer, Stack, Use, table


def swin(heads="num_heads", width="embed_dim"):
    """A table for each block of each stage."""

    def rule(keys):
        side = keys.integer("window_size")
        layers = []
        for stage, (count, num_heads) in enumerate(stages(keys, heads)):
            bias = WindowBias(num_heads, (side, side))
            scale = (keys.integer(width) * 2**stage // num_heads) ** -0.5
            for block in range(count):
                source = table(
                    *_names(stage, block), rows=bias.num_rows, num_heads=num_heads
                )
                layers.append(Layer((Use(bias, source),), scale))
        return Stack(tuple(layers))

    return rule


def _names(stage, block):
    own = f"layers.{stage}.blocks.{block}."
    return (
        f"{own}attention.self.relative_position_bias_table",
        f"{own}attention.relative_position_bias.relative_position_bias_table",
        f"{own}attn.relative_position_bias_table",
    )


ROWS = (
    ("swin donut-swin maskformer-swin", BiasFamily({"vision": swin()}, "Swin")),
    (
        "clap_audio_model",
        BiasFamily(
            {"audio": swin("num_attention_heads", "patch_embeds_hidden_size")}, "Swin"
        ),
    ),
)
