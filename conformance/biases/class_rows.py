"""Biases of BEiT and data2vec: windows with three more rows for the class token."""

import numpy as np

from .blocks import QUERIES_AND_KEYS
from .models import (
    config_of,
    modules_of,
    named,
    of_transformers,
    positions,
    record,
    scale_of,
    scores_without_content,
    stored,
)

PATCH = 4
ATTENTION = "BeitAttention$|VisionSelfAttention$"
TENSORS = r"relative_position_bias_table$"
# Which layers have a table of their own, and whether all share one.
TABLES = {
    "each layer": {"use_relative_position_bias": True},
    "shared": {"use_shared_relative_position_bias": True},
    "both": {
        "use_relative_position_bias": True,
        "use_shared_relative_position_bias": True,
    },
}


def records():
    """Each way to hold tables, at the size of the tables and at other sizes."""
    for name in ("BeitModel", "Data2VecVisionModel"):
        for title, tables in TABLES.items():
            yield from _of_model(name, title, tables, (3, 3), (3, 3))
        for grid in ((5, 5), (2, 4), (4, 3)):
            yield from _of_model(name, "both", TABLES["both"], (3, 3), grid)
    yield from _of_model("BeitModel", "both", TABLES["both"], (3, 3), (3, 3), named)
    head = "BeitForImageClassification"
    for title in ("both", "shared"):
        yield from _of_model(head, title, TABLES[title], (3, 3), (3, 3))
    yield from _no_square()


def _of_model(name, title, tables, trained, grid, stored=stored):
    """Records of both layers of a model on an image of `grid` patches."""
    import torch

    model, source = of_transformers(name, **_sizes(trained), **tables)
    state = stored(model, TENSORS)
    rows, columns = grid
    picture = torch.ones(1, 3, rows * PATCH, columns * PATCH)
    scores = scores_without_content(model, QUERIES_AND_KEYS, picture)
    attentions = modules_of(model, ATTENTION)
    names = ", names in memory" if stored is named else ""
    for layer, bias in enumerate(scores):
        yield record(
            f"{name}: {title}, {rows} x {columns}{names}, layer {layer}",
            source,
            config_of(model),
            state,
            positions(1 + rows * columns),
            bias[0],
            part="vision",
            layer=layer,
            scale=scale_of(attentions[layer]),
            grid=grid,
        )


def _sizes(trained):
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3}
    sizes |= {"intermediate_size": 8, "patch_size": PATCH}
    return sizes | {"image_size": [side * PATCH for side in trained]}


def _no_square():
    """A trained window of 3 x 5, by timm: transformers takes its table for 5 x 3."""
    import torch

    from ..embeddings.checkpoint_timm import models_of_timm

    model, _ = of_transformers("BeitModel", **_sizes((3, 5)), **TABLES["shared"])
    state = stored(model, TENSORS)
    version, models = models_of_timm()
    bias = models("beit").RelativePositionBias((3, 5), 3)
    (table,) = (np.array(tensor) for tensor in state.values())
    bias.relative_position_bias_table.data = torch.tensor(table)
    with torch.no_grad():
        expected = bias()
    yield record(
        "BeitModel: shared, trained at 3 x 5",
        f"timm {version}, beit.RelativePositionBias",
        config_of(model),
        state,
        positions(16),
        expected,
        part="vision",
        layer=1,
        scale=scale_of(modules_of(model, ATTENTION)[1]),
        grid=(3, 5),
    )
