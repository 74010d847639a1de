"""The rules of every model type: the tables of families in one."""

from ..family import RopeFamily
from ..rows import by_name
from ..schemas.unknown import unknown
from . import (
    deepseek_v4,
    dots3_note,
    hybrid,
    latent,
    layered,
    multimodal,
    nested,
    own_keys,
    plain,
    refused,
    step3p5,
    vision,
)
from .remote import chatglm, own_methods
from .remote import own_keys as remote_own_keys
from .remote import plain as remote_plain

_ROWS = (
    *plain.ROWS,
    *own_keys.ROWS,
    *layered.ROWS,
    *hybrid.ROWS,
    *latent.ROWS,
    *dots3_note.ROWS,
    *deepseek_v4.ROWS,
    *nested.ROWS,
    *step3p5.ROWS,
    *multimodal.ROWS,
    *vision.ROWS,
)
_REMOTE_ROWS = (
    *remote_plain.ROWS,
    *remote_own_keys.ROWS,
    *chatglm.ROWS,
    *own_methods.ROWS,
)

# By model type, as transformers knows it.
IN_TRANSFORMERS = by_name(_ROWS)
# The model types whose code transformers does not have, with their sources.
REMOTE = by_name(_REMOTE_ROWS)
# Both together.
ROPE_FAMILIES = by_name(
    (*_ROWS, *((names, remote.family) for names, remote in _REMOTE_ROWS))
)
# Why a model type has no rope.
REFUSED = by_name(refused.REASONS)
# Model types that stand for the code of another.
SAME_CODE = {
    "EvollaModel": "evolla",
    "exaone4_5_text": "exaone4",
    "gpt-sw3": "gpt2",
    "kimi_k2": "deepseek_v3",
    "mlcd": "mlcd_vision_model",
    "vlm": "hyperclovax_vision_v2",
}
# The rules for a model type of which nothing is known but what its config says.
UNKNOWN = RopeFamily(reads_fraction=True, schema=unknown)
