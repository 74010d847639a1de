"""The parts of a config that have position biases."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import NamedTuple

from .._config.part import Part, part_error
from .._config.parts import check_depth, child_of, filled_in, whole_of
from .._config.sub_configs import sub_configs
from .._config.values import check_name, shown
from .._config.wrong_keys import instead, nearest
from .families.table import BIAS_FAMILIES, REFUSED
from .vocabulary import KEYS

# Parts of which the code makes one stack alone: the model around, and the key.
_ONE_STACK = {
    ("musicgen", "text_encoder"): "encoder",
    ("musicgen_melody", "text_encoder"): "encoder",
}


class Level(NamedTuple):
    """The whole config or a part of it.

    Attributes:
        part: The part, with the name of the code that reads it.
        stack: The one stack that the code makes of it; `None` for all.
        named: Whether its own `model_type` tells the code.
    """

    part: Part
    stack: str | None = None
    named: bool = True


@dataclass(frozen=True)
class BiasPart:
    """A part of a config whose model type has position biases.

    Attributes:
        path: Keys from the whole config to the part.
        model_type: Name of the code that reads the part.
        values: Keys and values of the part.
        stack: Name of the stack in the rules of the model type.
        name: Name by which the user chooses the part.
        held: Whether the part stands in the config; if not, the code fills it in.
    """

    path: tuple[str, ...]
    model_type: str
    values: Mapping = field(repr=False)
    stack: str
    name: str
    held: bool


@cache
def tables():
    """Defaults by model type, as `conformance.bias_defaults` wrote them, and parts."""
    path = resources.files("attnax.interop._position_biases") / "defaults.json"
    parts = sub_configs((*BIAS_FAMILIES, *REFUSED), KEYS)
    return json.loads(path.read_text()) | {"sub_configs": parts}


def levels_of(config):
    """The whole config and all of its parts, whose model types are known or named."""
    return list(_walk(Level(whole_of(config))))


def stacks_of(levels):
    """Every stack of these levels whose model type has position biases."""
    return [
        BiasPart(
            part.path,
            part.model_type,
            part.values,
            stack,
            _name(part, stack),
            part.held,
        )
        for part, only, _ in levels
        if part.model_type in BIAS_FAMILIES
        for stack in BIAS_FAMILIES[part.model_type].stacks
        if only in (None, stack)
    ]


def part_names(parts):
    """The names of parts; what the code fills in counts if the config holds none.

    It is nobody's choice while the config holds others.
    """
    return list(dict.fromkeys(part.name for part in _held(parts)))


def find_part(parts, name):
    """The part of that name, or the only one; `None` if there is none."""
    check_name("part", name)
    found = _held(parts) if name is None else [p for p in parts if p.name == name]
    if len(found) > 1:
        raise ValueError(
            "several parts of this model have position biases; pass part, one of "
            f"{part_names(parts)}."
        )
    return found[0] if found else None


def _held(parts):
    return [part for part in parts if part.held] or parts


def _walk(level, around=None):
    """The levels of a part; `around` is what the model around it says of parts."""
    part = level.part
    check_depth(part)
    yield level
    table = tables()["sub_configs"]
    specs = table.get(part.model_type, {})
    _check_spelling(part, specs)
    for key in dict.fromkeys((*filled_in(part, specs), *filter(part.has, part.values))):
        child = child_of(part, key, specs, around or {}, table)
        if child.model_type:
            stack = _ONE_STACK.get((part.model_type, key))
            named = key in tables()["named_parts"].get(part.model_type, ())
            yield from _walk(Level(child, stack, named), specs or around)


def _check_spelling(part, specs):
    """Raises if the key of a part is nearly one that the code reads."""
    for key in filter(part.has, part.values):
        if isinstance(key, str) and key not in _keys_of_parts():
            meant = nearest(key.lower(), specs)
            if meant:
                message = f"the config holds {key}={shown(part.values[key])}; "
                raise part_error(part.path, message + instead((meant,)))


@cache
def _keys_of_parts():
    """The keys of the parts of all models."""
    return {key for specs in tables()["sub_configs"].values() for key in specs}


def _name(part, stack):
    several = len(BIAS_FAMILIES[part.model_type].stacks) > 1
    words = [part.name] if part.name else []
    return ".".join((*words, stack) if several or not words else words)
