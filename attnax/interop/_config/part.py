"""A part of a config, errors that name one, and what transformers knows of parts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from .families.table import IN_TRANSFORMERS, REFUSED, ROPE_FAMILIES, SAME_CODE
from .sub_configs import sub_configs
from .vocabulary import ROTARY, STRUCTURE

# A part with one of these at its own level has rotary positions.
OWN = ("rope_parameters", "rope_scaling", "rope_theta")


@dataclass(frozen=True)
class Part:
    """A part of a config, or the whole.

    Attributes:
        path: Keys from the whole config to the part.
        model_type: Name of the code that reads the part, or `None` if nothing says it.
        values: Keys and values of the part.
        name: Name of the part in `config_parts`; empty for the whole.
        rotary: Whether the part is known to have rotary positions.
        held: Whether the part stands in the config; if not, the model's code fills it
            in.
        problem: Reason why the part cannot be read.
    """

    path: tuple[str, ...]
    model_type: str | None
    values: Mapping = field(repr=False, compare=False)
    name: str = ""
    rotary: bool = False
    held: bool = True
    problem: str = ""

    @property
    def known(self):
        """Whether the model type is in the tables of rotary models."""
        return self.model_type in ROPE_FAMILIES or self.model_type in REFUSED

    @property
    def says(self):
        """Whether the part's own level says something about rotary positions."""
        return any(self.values.get(key) for key in OWN)

    def has(self, key):
        """Whether there is a part under the key."""
        return isinstance(self.values.get(key), Mapping)

    def inner(self, key, model_type, values, held=True):
        """The part under the key."""
        short = str(key).removesuffix("_config").removesuffix("_cfg") or str(key)
        name = f"{self.name}.{short}" if self.name else short
        held = held and self.held
        return Part((*self.path, key), model_type, values, name, held=held)


def part_error(path, message):
    """A `ValueError` whose message and `path` say where in the config it arose."""
    place = "".join(f"[{key!r}]" for key in path)
    place = f"config{place}: " if place else ""
    error: Any = ValueError(f"{place}{message}.")
    error.path = path
    return error


def model_type_of(values, path=()):
    """The model type whose code the values are for."""
    model_type = values.get("model_type")
    if not isinstance(model_type, str | None):
        raise part_error(path, f"{model_type=} must be a name")
    return SAME_CODE.get(model_type, model_type) if model_type else model_type


@cache
def tables():
    """Defaults by model type, as `conformance.defaults` wrote them, and parts."""
    path = resources.files("attnax.interop._config") / "defaults.json"
    parts = sub_configs((*IN_TRANSFORMERS, *REFUSED), STRUCTURE | ROTARY)
    return json.loads(path.read_text()) | {"sub_configs": parts}
