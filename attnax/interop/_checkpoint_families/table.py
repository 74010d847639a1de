"""Every family of checkpoints by its name, and the family of each model type.

The model types were read in the source of transformers 5.23 and compared with it: the
function of a family returns what enters the first layer of the model. A model of
several parts has the family of its language model where its type fixes that.
"""

from .._model_types import by_name
from .family import CheckpointFamily
from .images import IMAGES
from .texts import TEXTS
from .tokens import TOKENS

CHECKPOINT_FAMILIES: dict[str, CheckpointFamily] = by_name(
    (family.name, family) for family in (*TEXTS, *TOKENS, *IMAGES)
)
CHECKPOINT_TYPES: dict[str, str] = by_name(
    (family.types, family.name) for family in CHECKPOINT_FAMILIES.values()
)
