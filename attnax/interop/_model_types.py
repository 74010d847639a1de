"""Names of families: those of a table, and the model types of transformers."""

import difflib
import json
import pathlib
from collections.abc import Collection, Iterable, Mapping
from typing import TypeVar

_Value = TypeVar("_Value")
_PATH = pathlib.Path(__file__).parent / "model_types.json"
_NEAR = 0.7  # "llama" and "lama2" are this much alike


def by_name(rows: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    """The table of rows `(names, value)`, whose names are separated by spaces.

    Raises:
        ValueError: If a name stands in the rows twice.
    """
    table = {}
    for names, value in rows:
        for name in names.split():
            if name in table:
                raise ValueError(f"{name!r} must stand in the table once.")
            table[name] = value
    return table


def family_of(
    family: object,
    families: Collection[str],
    types: Mapping[str, str],
    reasons: Mapping[str, str],
    *,
    hint: str = "",
) -> str:
    """The name that the table has for the family that the caller named.

    Args:
        family: The name of a family, or a model type of transformers. Hyphens count as
            underscores, and capitals as small letters.
        families: The names of the table.
        types: The family of each model type.
        reasons: Why a model type has no family, as the end of a sentence that begins
            with the name.
        hint: The end of the message about a name that is not known.

    Raises:
        ValueError: If the name is not known, or no string.
    """
    must = f"{family=} must be one of {sorted(families)}"
    if not isinstance(family, str):
        raise ValueError(f"{must}.")
    if family in families:
        return family
    known = {_plain(name): name for name in (*families, *types)}
    found = known.get(_plain(family))
    if found is not None:
        return types.get(found, found)
    for model_type, reason in reasons.items():
        if _plain(model_type) == _plain(family):
            raise ValueError(f"{family=} {reason}.")
    must += ", or a model type of transformers with one of these"
    if _plain(family) in map(_plain, _all_types()):
        raise ValueError(f"{must}; none of them is known to be that of this model.")
    near = difflib.get_close_matches(_plain(family), known, n=3, cutoff=_NEAR)
    near = f"; near it are {[known[name] for name in near]}" if near else ""
    raise ValueError(f"{must}{near}{hint}.")


def _plain(text):
    return text.replace("-", "_").lower()


def _all_types():
    """Every model type of transformers; the file is read for error messages only."""
    folders = json.loads(_PATH.read_text())["folders"]
    return (name for types in folders.values() for name in types)


def is_model_type(name: object) -> bool:
    """Whether transformers has a model type of this name."""
    return name in set(_all_types())
