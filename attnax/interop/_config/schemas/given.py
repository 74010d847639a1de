"""The parameters that the config itself holds, and their original length."""

from ..methods import NEED_ORIGINAL_LENGTH
from .checks import check_new_name, without, without_nulls

ORIGINAL = "original_max_position_embeddings"
NAMES = ("rope_scaling", "rope_parameters")


def given_parameters(context, names=NAMES):
    """The parameters in the config and their key; `None` if it holds none.

    Empty `rope_parameters` count, and keep the default of the code away.
    """
    for name in names:
        values = context.keys.given(name)
        if values or (values is not None and name == "rope_parameters"):
            return values, name
    return None, "rope_parameters"


def without_repetition(part):
    """The config without a `rope_scaling` that equals its `rope_parameters`."""
    same = part.get("rope_scaling") == part.get("rope_parameters") is not None
    return without(part, "rope_scaling") if same else part


def old_scaling(context, old_type=False):
    """`rope_scaling`; its type may stand under `type` only if `old_type` is true."""
    old = without_nulls(context.keys.given("rope_scaling") or {})
    if not old_type:
        check_new_name(context, "rope_scaling", old)
    return old


def with_original_length(context, values, where):
    """Parameters in which every method that needs the original length finds it.

    Where nothing else says it, that is the length that the model is served with.
    """
    if needs_original_length(context, values):
        length = context.keys.get("max_position_embeddings")
        if length is not None:
            values.setdefault(ORIGINAL, length)
        said, made = context.keys.given(ORIGINAL), values.get(ORIGINAL)
        if said not in (None, made):
            raise context.error(
                f"the config holds {ORIGINAL}={said!r}, but {where}, which is all that "
                f"the code of {context.model_type!r} reads here, makes it {made!r}; "
                f"write it in {where}"
            )
    return context.params(values, where)


def needs_original_length(context, values):
    """Whether the method needs the original length among its parameters."""
    kind = values.get("rope_type", values.get("type"))
    if not isinstance(kind, str):
        return False
    return context.family.renames.get(kind, kind) in NEED_ORIGINAL_LENGTH
