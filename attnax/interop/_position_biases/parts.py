"""The parts of a config that have position biases."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources

from ..._checks import type_of
from .._config.part import part_error
from .._config.sub_configs import sub_configs
from .._config.values import check_name
from .families.table import BIAS_FAMILIES, REFUSED
from .vocabulary import KEYS

_DEEPEST = 16


@dataclass(frozen=True)
class Part:
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


def all_parts(config):
    """Every part of a config that has position biases."""
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is {type_of(config)}, but must be a dict as "
            "in config.json; pass config.to_dict()."
        )
    return list(_walk((), _type_of(config, ()), config, True))


def find_part(config, name):
    """The part of that name, or the only one; `None` if the model has none."""
    check_name("part", name)
    parts = all_parts(config)
    # What the code fills in is nobody's choice while the config holds others.
    held = [part for part in parts if part.held] or parts
    names = list(dict.fromkeys(part.name for part in held))
    if not parts:
        if name is not None:
            raise ValueError(
                f"part={name!r} must be None, for the config of "
                f"model_type={config.get('model_type')!r} has no part with position "
                "biases."
            )
        return None
    found = held if name is None else [part for part in parts if part.name == name]
    if not found:
        raise ValueError(
            f"part={name!r} must be one of {names}, which are the parts of this model "
            "that have position biases."
        )
    if len(found) > 1:
        raise ValueError(
            f"several parts of this model have position biases; pass part, one of "
            f"{names}."
        )
    return found[0]


def _walk(path, model_type, values, held):
    """The parts of a part, itself included."""
    if len(path) > _DEEPEST:
        raise part_error(path[:3], "the config is nested too deeply")
    if model_type in BIAS_FAMILIES:
        stacks = BIAS_FAMILIES[model_type].stacks
        for stack in stacks:
            name = _name(path, stack if len(stacks) > 1 or not path else "")
            yield Part(path, model_type, values, stack, name, held)
    specs = tables()["sub_configs"].get(model_type, {})
    for key in dict.fromkeys((*specs, *values)):
        inner, spec = values.get(key), specs.get(key, {})
        place = (*path, key)
        if inner is None and key in specs:
            if not spec.get("optional"):
                init = spec.get("init", {})
                inner_type = init.get("model_type", spec.get("model_type"))
                yield from _walk(place, inner_type, init, False)
        elif isinstance(inner, Mapping):
            own = None if spec.get("fixed") else _type_of(inner, place)
            inner_type = own or spec.get("model_type")
            if inner_type is not None:
                if spec.get("merged"):
                    inner = {**spec["init"], **inner}
                yield from _walk(place, inner_type, inner, held)
        elif key in specs:
            raise part_error(path, f"{key}={inner!r} must be a dict or null")


def _name(path, stack):
    words = [str(key).removesuffix("_config") or str(key) for key in path]
    return ".".join((*words, stack) if stack else words)


def _type_of(values, path):
    model_type = values.get("model_type")
    if not isinstance(model_type, str | None):
        raise part_error(path, f"{model_type=} must be a name")
    return model_type
