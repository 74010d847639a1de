"""The rules of every model type with position biases: the tables of families in one."""

from ..._model_types import by_name
from . import (
    audio,
    boxes,
    buckets,
    decomposed,
    disentangled,
    hidden_states,
    pictures,
    profiles,
    relative_keys,
    slopes,
    transformer_xl,
    windows,
)

ROWS = (
    *buckets.ROWS,
    *hidden_states.ROWS,
    *boxes.ROWS,
    *slopes.ROWS,
    *windows.ROWS,
    *pictures.ROWS,
    *decomposed.ROWS,
    *relative_keys.ROWS,
    *disentangled.ROWS,
    *transformer_xl.ROWS,
    *audio.ROWS,
    *profiles.ROWS,
)
BIAS_FAMILIES = by_name(ROWS)

# The reason why the biases of a model type are no record, and what to do.
REFUSED = by_name(
    (
        (
            "bros",
            "its biases are products of queries with sinusoids of the differences of "
            "boxes",
        ),
        (
            "dinat",
            "its biases are for keys of a neighborhood, in an order that its own "
            "package fixes",
        ),
        (
            "esmfold2",
            "it adds vectors to pairs of residues and no biases to scores: use "
            "clipped_distances for their rows",
        ),
        (
            "esm",
            "with is_folding_model it adds vectors to pairs of residues and no biases "
            "to scores: use clipped_distances for their rows",
        ),
        (
            "layoutxlm",
            "transformers has no code of its own for it: write "
            "model_type='layoutlmv2', if the weights are for that",
        ),
        (
            "sam3 sam3_lite_text",
            "the biases of its decoder come from boxes that change from layer to layer",
        ),
    )
)
# The key that makes a model type one of the refused, for those that need one.
SWITCHES = {"esm": "is_folding_model"}
