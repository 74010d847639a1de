"""ESMFold2: a vector for each pair of tokens, from clipped distances and chains."""

import json

import numpy as np

from .models import record
from .projections import float32

WIDTH = 6


def records():
    """Residues of two copies of a chain and of another, one of several tokens."""
    import torch
    import transformers
    from transformers.models.esmfold2 import modeling_esmfold2

    from ..embeddings.checkpoint_models import drawn

    config = transformers.EsmFold2Config(
        pairwise_hidden_size=WIDTH,
        num_relative_residx_bins=3,
        num_relative_chain_bins=1,
    )
    layer = drawn(modeling_esmfold2.EsmFold2RelativePositionEncoding(config))
    inputs = {
        "residue_index": [[0, 1, 2, 3, 9, 0, 1, 1, 1, 2, 0, 5]],
        "asym_id": [[0] * 5 + [1] * 5 + [2] * 2],
        "sym_id": [[0] * 5 + [1] * 5 + [0] * 2],
        "entity_id": [[0] * 10 + [1] * 2],
        "token_index": [list(range(12))],
    }
    inputs = {name: np.array(x, np.int64) for name, x in inputs.items()}
    inputs["sym_id"][0, 10:] = 3
    with torch.no_grad():
        expected = layer(**{name: torch.tensor(x) for name, x in inputs.items()})
    weight = float32(weight=layer.embed.weight)["weight"]
    kept = ("model_type", "pairwise_hidden_size")
    kept += ("num_relative_residx_bins", "num_relative_chain_bins")
    whole = json.loads(config.to_json_string())
    yield record(
        "esmfold2",
        f"transformers {transformers.__version__}, EsmFold2RelativePositionEncoding",
        {name: whole[name] for name in kept},
        {"input_embedder.rel_pos.embed.weight": weight},
        inputs,
        expected,
        part="input_embedder",
    )
