"""Names of families: a table's own, and what transformers calls its models."""

import difflib
import json
import pathlib
from collections.abc import Collection, Mapping

_PATH = pathlib.Path(__file__).parent / "model_types.json"
_NEAR = 0.7  # as alike as "llama" and "lama2"


def family_of(
    name: object,
    families: Collection[str],
    types: Mapping[str, str],
    reasons: Mapping[str, str],
    *,
    hint: str = "",
) -> str:
    """The family that a name stands for: its own, or that of a model type.

    Args:
        name: What the caller calls the family.
        families: Those of the table.
        types: From model types to families. Hyphens count as underscores.
        reasons: Why a model type has none, as the end of a sentence that begins with
            the name.
        hint: What else a name that nothing knows may mean, the end of the message.
    """
    if not isinstance(name, str):
        raise ValueError(f"family={name!r} must be one of {sorted(families)}.")
    if name in families:
        return name
    known = {_plain(key): key for key in (*families, *types)}
    found = known.get(_plain(name))
    if found is not None:
        return types.get(found, found)
    for key, reason in reasons.items():
        if _plain(key) == _plain(name):
            raise ValueError(f"family={name!r} {reason}.")
    message = (
        f"family={name!r} must be one of {sorted(families)}, or a model "
        "type of transformers with one of these"
    )
    if _plain(name) in map(_plain, _all_types()):
        raise ValueError(f"{message}; none of them is known to be that of this model.")
    near = difflib.get_close_matches(_plain(name), known, n=3, cutoff=_NEAR)
    near = f"; near it are {[known[key] for key in near]}" if near else ""
    raise ValueError(f"{message}{near}{hint}.")


def _plain(name):
    return name.replace("-", "_").lower()


def _all_types():
    """Every model type of transformers, read where an error needs them."""
    folders = json.loads(_PATH.read_text())["folders"]
    return (name for types in folders.values() for name in types)
