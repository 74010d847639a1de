"""Biases of Swin v2: a small network of the logarithms of distances in a window."""

import numpy as np

from .blocks import records_of_blocks
from .models import of_transformers, positions, record, stored

TENSORS = r"continuous_position_bias_mlp|relative_(coords_table|position_index)"
HEADS, DEPTHS = (2, 3), (2, 1)


def records():
    """With and without the window of the first training; the last window is smaller."""
    sizes = {"depths": DEPTHS, "num_heads": HEADS, "mlp_ratio": 1.0}
    pyramid = sizes | {"image_size": 16, "patch_size": 2, "embed_dim": 12}
    for pretrained in ((0, 0), (7, 3)):
        model, source = of_transformers(
            "Swinv2Model",
            window_size=5,
            pretrained_window_sizes=pretrained,
            **pyramid,
        )
        title = f"swinv2: window first {pretrained}"
        yield from records_of_blocks(model, source, title, stored(model, TENSORS))
    sizes |= {"image_size": 8, "embed_dim": 12, "window_size": 4, "num_heads": (3, 2)}
    model, source = of_transformers("Swin2SRModel", **sizes)
    yield from records_of_blocks(model, source, "swin2sr", stored(model, TENSORS))
    yield from _timm()


def _timm():
    """Windows that are no squares, in both forms of timm."""
    import torch

    from ..embeddings.checkpoint_timm import models_of_timm

    version, models = models_of_timm()
    from timm.layers import RelPosMlp

    cr = models("swin_transformer_v2_cr").WindowMultiHeadAttention
    for title, module, bias, options in (
        ("swin", RelPosMlp((3, 5), 2, 32, mode="swin"), "get_bias", {}),
        (
            "swin, trained at 4 x 7",
            RelPosMlp((3, 5), 2, 32, mode="swin", pretrained_window_size=(4, 7)),
            "get_bias",
            {"pretrained_window": (4, 7)},
        ),
        ("cr", RelPosMlp((3, 5), 2, 32, mode="cr"), "get_bias", {}),
        (
            "cr with a class token",
            RelPosMlp((3, 5), 2, 32, mode="cr", prefix_tokens=1),
            "get_bias",
            {"num_prefix_tokens": 1},
        ),
        (
            "swinv2_cr",
            cr(12, 2, (3, 5), meta_hidden_dim=32),
            "_relative_positional_encodings",
            {},
        ),
    ):
        torch.manual_seed(0)
        module.eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.normal_(std=0.25)
            expected = getattr(module, bias)()[0]
        state = {n: np.asarray(t) for n, t in module.state_dict().items()}
        state = {n: t for n, t in state.items() if "mlp" in n}
        yield record(
            f"timm: {title}",
            f"timm {version}, {type(module).__name__}.{bias}",
            {"model_type": "timm"},
            state,
            positions(expected.shape[-1]),
            expected,
            part="vision",
            layer=0,
            grid=(3, 5),
            **options,
        )
