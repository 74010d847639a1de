"""State dicts of zeros with the names of a few families, and their errors."""

import re

import numpy as np
import pytest

PER_LAYER = "embed_tokens_per_layer.weight"
GPT2 = {"wte.weight": (11, 6), "wpe.weight": (9, 6)}


def zeros(*names_and_shapes, dtype=np.float32, **shapes):
    pairs = {**dict(names_and_shapes), **shapes}
    return {name: np.zeros(shape, dtype) for name, shape in pairs.items()}


def bert(prefix=""):
    return zeros(
        (f"{prefix}embeddings.word_embeddings.weight", (11, 6)),
        (f"{prefix}embeddings.position_embeddings.weight", (9, 6)),
        (f"{prefix}embeddings.token_type_embeddings.weight", (2, 6)),
        (f"{prefix}embeddings.LayerNorm.weight", (6,)),
        (f"{prefix}embeddings.LayerNorm.bias", (6,)),
    )


def vit(num_positions=10):
    return zeros(
        ("embeddings.patch_embeddings.projection.weight", (6, 3, 5, 4)),
        ("embeddings.patch_embeddings.projection.bias", (6,)),
        ("embeddings.cls_token", (1, 1, 6)),
        ("embeddings.position_embeddings", (1, num_positions, 6)),
    )


def timm(num_positions, num_registers=4):
    return zeros(
        ("patch_embed.proj.weight", (6, 3, 5, 4)),
        ("cls_token", (1, 1, 6)),
        ("reg_token", (1, num_registers, 6)),
        ("pos_embed", (1, num_positions, 6)),
    )


def fails(message):
    """Expects a `ValueError` with this text."""
    return pytest.raises(ValueError, match=re.escape(message))
