"""Biases of the windows of Swin, from the code of its families and of timm."""

from .models import (
    config_of,
    named,
    of_transformers,
    positions,
    record,
    recorded_scores,
    stored,
    without_content,
)

TENSORS = r"relative_position_(bias_table|index)$"
QUERIES_AND_KEYS = r"\.(query|key|q_proj|k_proj)\."
HEADS, DEPTHS = (2, 3), (2, 1)


def records():
    """One for each block of the models, and for windows that are no squares."""
    pyramid = {"image_size": 24, "patch_size": 2, "embed_dim": 12, "depths": DEPTHS}
    pyramid |= {"num_heads": HEADS, "mlp_ratio": 1.0}
    yield from _of_model("SwinModel", "vision", window_size=3, **pyramid)
    yield from _of_model("SwinModel", "vision", stored=named, window_size=3, **pyramid)
    yield from _of_model(
        "SwinForImageClassification", "vision", window_size=4, num_labels=3, **pyramid
    )
    yield from _of_model("DonutSwinModel", "vision", window_size=4, **pyramid)
    yield from _of_model("MaskFormerSwinBackbone", "vision", window_size=5, **pyramid)
    yield from _clap()
    yield from _timm()


def _of_model(name, part, stored=stored, **config):
    model, source = of_transformers(name, **config)
    yield from _blocks(model, source, part, stored)


def _clap():
    text = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    text |= {"intermediate_size": 8, "vocab_size": 9, "max_position_embeddings": 9}
    audio = {"window_size": 3, "num_mel_bins": 16, "spec_size": 32, "patch_size": 2}
    audio |= {"patch_stride": [2, 2], "patch_embeds_hidden_size": 12, "depths": DEPTHS}
    audio |= {"num_attention_heads": HEADS, "num_hidden_layers": 2, "hidden_size": 24}
    audio |= {"mlp_ratio": 1.0}
    model, source = of_transformers(
        "ClapModel", text_config=text, audio_config=audio, projection_dim=4
    )
    yield from _blocks(model, source, "audio", stored)


def _blocks(model, source, part, stored):
    """Records of all blocks, whose windows attend without the mask of their shift."""
    import torch

    # Before the content is gone: the tables are all that a bias needs.
    state = stored(model, TENSORS)
    without_content(model, QUERIES_AND_KEYS)
    blocks = [m for m in model.modules() if hasattr(m, "shift_size")]
    places = [
        (stage, block) for stage in range(len(DEPTHS)) for block in range(DEPTHS[stage])
    ]
    names = "names of the file" if stored is not named else "names in memory"
    for layer, ((stage, block), module) in enumerate(zip(places, blocks, strict=True)):
        side = module.window_size
        hidden = torch.ones(1, side * side, module.layernorm_before.weight.shape[0])
        with recorded_scores() as scores:
            module.attention(hidden)
        yield record(
            f"{model.config.model_type}: {names}, window {side}, layer {layer}",
            source,
            config_of(model),
            state,
            positions(side * side),
            scores[0][0],
            part=part,
            layer=layer,
            stage=stage,
            block=block,
            grid=(side, side),
        )


def _timm():
    """Windows that are no squares, without and with a class token."""
    import torch

    from ..embeddings.checkpoint_timm import models_of_timm

    version, _ = models_of_timm()
    from timm.layers import RelPosBias

    for prefix in (0, 1):
        torch.manual_seed(0)
        bias = RelPosBias((3, 5), 2, prefix_tokens=prefix)
        with torch.no_grad():
            table = bias.relative_position_bias_table.normal_(std=0.25)
            expected = bias.get_bias()[0]
        yield record(
            f"timm: window 3 x 5, prefix tokens {prefix}",
            f"timm {version}, RelPosBias",
            {"model_type": "timm", "window_size": [3, 5]},
            {"relative_position_bias_table": table.detach().numpy()},
            positions(prefix + 15),
            expected,
            part="vision",
            layer=0,
            grid=(3, 5),
            num_prefix_tokens=prefix,
        )
