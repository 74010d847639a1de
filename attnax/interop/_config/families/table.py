"""The rules of every model type: the tables of families in one."""

from ..._model_types import by_name
from ..family import RopeFamily
from ..schemas.by_layer_type import by_layer_type
from ..schemas.flat import flat
from ..schemas.given import given_parameters
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

# Rows of model types whose code is in transformers, by what is special about them.
KINDS = {
    "plain": plain.ROWS,
    "keys or rope types of their own": own_keys.ROWS,
    "layers of several kinds": layered.ROWS,
    "layers without attention": hybrid.ROWS,
    "latent attention": (*latent.ROWS, *dots3_note.ROWS, *deepseek_v4.ROWS),
    "parameters by layer type": (*nested.ROWS, *step3p5.ROWS),
    "text with pictures": multimodal.ROWS,
    "pictures and videos": vision.ROWS,
}
_ROWS = tuple(row for rows in KINDS.values() for row in rows)
_REMOTE_ROWS = (
    *remote_plain.ROWS,
    *remote_own_keys.ROWS,
    *chatglm.ROWS,
    *own_methods.ROWS,
)

# The rules of model types whose code is in transformers.
IN_TRANSFORMERS = by_name(_ROWS)
# The rules and the sources of model types whose code is not.
REMOTE = by_name(_REMOTE_ROWS)
# The rules of all of them.
ROPE_FAMILIES = by_name(
    (*_ROWS, *((names, remote.family) for names, remote in _REMOTE_ROWS))
)
# The reason why a model type has no rope, and what to do.
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


def _unknown(context):
    """Parameters by layer type if the config nests them, and one set otherwise."""
    values, _ = given_parameters(context)
    if any(isinstance(v, dict) for v in (values or {}).values()):
        listed = context.keys.given("layer_types") is not None
        return by_layer_type(context, labels_known=listed)
    return flat(context)


# The rules for a model type of which nothing is known but what its config says.
UNKNOWN = RopeFamily(reads_fraction=True, schema=_unknown)
