"""Biases of the windows of Swin, from the code of its families and of timm."""

from .blocks import records_of_blocks
from .models import named, of_transformers, positions, record, stored

TENSORS = r"relative_position_(bias_table|index)$"
HEADS, DEPTHS = (2, 3), (2, 1)
PYRAMID = {"image_size": 24, "patch_size": 2, "embed_dim": 12, "depths": DEPTHS}
PYRAMID |= {"num_heads": HEADS, "mlp_ratio": 1.0}


def records():
    """One for each block of the models, and for windows that are no squares."""
    yield from _of_model("swin", "SwinModel", window_size=3)
    yield from _of_model("swin, names in memory", "SwinModel", named, window_size=3)
    head = "SwinForImageClassification"
    yield from _of_model("swin with a head", head, window_size=4, num_labels=3)
    yield from _of_model("donut-swin", "DonutSwinModel", window_size=4)
    yield from _of_model("maskformer-swin", "MaskFormerSwinBackbone", window_size=5)
    yield from _maskformer()
    yield from _clap()
    yield from _timm()


def _of_model(title, name, stored=stored, **config):
    model, source = of_transformers(name, **PYRAMID, **config)
    yield from records_of_blocks(model, source, title, stored(model, TENSORS))


def _maskformer():
    backbone = {"model_type": "swin", "image_size": 32, "patch_size": 2}
    backbone |= {"embed_dim": 4, "depths": [1, 2, 1, 1], "num_heads": [1, 2, 4, 2]}
    backbone |= {"window_size": 3}
    decoder = {"model_type": "detr", "d_model": 8, "num_queries": 3}
    for part in ("encoder", "decoder"):
        decoder |= {f"{part}_layers": 1, f"{part}_attention_heads": 2}
        decoder |= {f"{part}_ffn_dim": 8}
    model, source = of_transformers(
        "MaskFormerModel",
        backbone_config=backbone,
        decoder_config=decoder,
        fpn_feature_size=32,
        mask_feature_size=8,
    )
    state = stored(model, TENSORS)
    yield from records_of_blocks(model, source, "maskformer", state, part="backbone")


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
    state = stored(model, TENSORS)
    yield from records_of_blocks(model, source, "clap", state, part="audio")


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
            {"model_type": "timm"},
            {"relative_position_bias_table": table.detach().numpy()},
            positions(prefix + 15),
            expected,
            part="vision",
            layer=0,
            grid=(3, 5),
            num_prefix_tokens=prefix,
        )
