"""Biases by distances without signs: LeViT, and the kin of it in timm."""

import numpy as np

from .models import (
    config_of,
    of_transformers,
    positions,
    record,
    scale_of,
    scores_without_content,
    stored,
)

TENSORS = r"attention_bias(es|_idxs)$"
CONTENT = r"(queries_keys_values|queries)\.linear|(queries_keys_values|queries)\.batch"


def records():
    """All attention of LeViT, of two sizes, and windows that are no squares."""
    for side in (5, 4):
        yield from _levit(side)
    yield from _timm()


def _levit(side):
    """Stages of `side`, and of its halves; every second row and column asks between."""
    import torch

    model, source = of_transformers(
        "LevitModel",
        image_size=16 * side,
        hidden_sizes=[16, 24, 32],
        num_attention_heads=[2, 3, 4],
        depths=[1, 2, 1],
        key_dim=[4, 4, 4],
    )
    state = stored(model, TENSORS)
    picture = torch.ones(1, 3, 16 * side, 16 * side)
    scores = scores_without_content(model, CONTENT, picture)
    layers = [
        (stage, place, getattr(module, "module", module))
        for stage, stack in enumerate(model.encoder.stages)
        for place, module in enumerate(stack.layers)
        if hasattr(getattr(module, "module", module), "attention_biases")
    ]
    for layer, ((stage, place, attention), bias) in enumerate(
        zip(layers, scores, strict=True)
    ):
        stride = 2 if hasattr(attention, "queries_subsample") else 1
        yield record(
            f"levit: {side} x {side}, stage {stage}, layer {place}",
            source,
            config_of(model),
            state,
            _strided((side, side), stride),
            bias[0],
            part="vision",
            layer=layer,
            scale=scale_of(attention),
            stage=stage,
            place=place,
            grid=(side, side),
            stride=stride,
        )
        side = -(-side // stride)


def _strided(grid, stride):
    """Keys on a grid, and the queries of every `stride`-th row and column of it."""
    rows, columns = grid
    tokens = np.arange(rows * columns, dtype=np.int32).reshape(grid)
    queries = tokens[::stride, ::stride].reshape(-1)
    return positions(rows * columns) | {"q_positions": queries}


def _timm():
    import torch

    from ..embeddings.checkpoint_timm import models_of_timm

    version, models = models_of_timm()
    for module, name, stride, options in (
        ("tiny_vit", "Attention", 1, {"dim": 12}),
        ("efficientformer", "Attention", 1, {"dim": 12}),
        ("levit", "Attention", 1, {"dim": 12}),
        ("levit", "AttentionDownsample", 2, {"in_dim": 12, "out_dim": 12}),
        ("efficientformer_v2", "Attention2dDownsample", 2, {"dim": 12}),
    ):
        grid = (3, 5)
        torch.manual_seed(0)
        attention = getattr(models(module), name)
        options = options | {"key_dim": 4, "num_heads": 3, "resolution": grid}
        attention = attention(**options)
        attention.eval()
        with torch.no_grad():
            attention.attention_biases.normal_(std=0.25)
            bias = attention.get_attention_biases(torch.device("cpu"))
        state = {n: np.asarray(t) for n, t in attention.state_dict().items()}
        state = {n: t for n, t in state.items() if n.startswith("attention_bias")}
        yield record(
            f"timm: {module} {name}, {grid[0]} x {grid[1]}",
            f"timm {version}, {module}.{name}",
            {"model_type": "timm"},
            state,
            _strided(grid, stride),
            bias,
            part="vision",
            layer=0,
            grid=grid,
            stride=stride,
        )
