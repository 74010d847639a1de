"""The parts of a config that have rotary positions, and which is its language model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

from .families.table import REFUSED, ROPE_FAMILIES, SAME_CODE
from .vocabulary import FOREIGN, ROTARY, STRUCTURE

# Any of these at its own level says that a part has rotary positions.
_OWN = ("rope_parameters", "rope_scaling", "rope_theta")
# Dicts that are no parts.
_NO_PARTS = frozenset(("attn", "attn_config", "per_layer_config"))
# Where the language model stands, if the model around it is not known or its code has
# renamed the key since the release.
LANGUAGE = tuple(
    """
    text_config language_config llm_config llm_cfg lm_config language_model
    thinker_config decoder_config decoder generator vlm_config
    """.split()
)
_DEEPEST = 16


@dataclass(frozen=True)
class Part:
    """A part of a config, or the whole.

    Attributes:
        path: Keys from the whole config to it.
        model_type: Whose code reads it, as far as it or the model around it says.
        values: Its keys.
        name: As `config_parts` lists it; empty for the whole.
        rotary: Whether it has rotary positions, as far as is known.
        held: Whether it stands in the config; otherwise the model's code fills it in.
        problem: Why it cannot be read.
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
        """Whether its own level says something about rotary positions."""
        return any(self.values.get(key) for key in _OWN)

    def inner(self, key, model_type, values, held=True):
        """The part under `key`."""
        short = str(key).removesuffix("_config").removesuffix("_cfg") or str(key)
        name = f"{self.name}.{short}" if self.name else short
        held = held and self.held
        return Part((*self.path, key), model_type, values, name, held=held)


def part_error(path, message):
    """A `ValueError` that says where in the config, and holds the `path` there."""
    place = "".join(f"[{key!r}]" for key in path)
    place = f"config{place}: " if place else ""
    error: Any = ValueError(f"{place}{message}.")
    error.path = path
    return error


@cache
def tables():
    """Defaults and sub-configs by model type, as `conformance.defaults` wrote them."""
    path = resources.files("attnax.interop._config") / "defaults.json"
    return json.loads(path.read_text())


def all_parts(config):
    """`(parts, main)`: the parts with rotary positions, and what the config means.

    That is the language model, or the whole; `None` where there are several parts and
    none is the language model.
    """
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is a {type(config).__name__}, but must be a dict as "
            "in config.json; pass config.to_dict()."
        )
    whole = Part((), model_type_of(config), config)
    parts, main = _walk(whole)
    return sorted(parts, key=lambda part: part != main), main


def model_type_of(values, path=()):
    """The model type whose code the values are for."""
    model_type = values.get("model_type")
    if not isinstance(model_type, str | None):
        raise part_error(path, f"{model_type=} must be a name")
    return SAME_CODE.get(model_type, model_type) if model_type else model_type


def _walk(part, around=None):
    """`(parts, main)` of a part; `around` is what the model around it says of parts."""
    if len(part.path) > _DEEPEST:
        raise part_error(part.path[:3], "the config is nested too deeply")
    specs = tables()["sub_configs"].get(part.model_type, {})
    language = next((k for k, spec in specs.items() if spec.get("language")), None)
    beside = part.model_type in REFUSED and _is_part(part.values, language)
    own = not beside and (part.known or (part.says and not specs))
    found = {}
    for key in _keys_of_parts(part, specs, own):
        child = _child(part, key, specs, around or {})
        found[key] = _walk(child, specs or around)
    here, main = [], None
    if own:
        main = replace(part, rotary=True)
        here = [main]
    elif (key := _key_of_language(part, language, specs)) is not None:
        main = found[key][1]
        if language not in (key, None):  # the code fills it in, for want of its key
            del found[language]
    elif language is not None:
        main = _text_without_a_part(part, language, specs, found[language][1])
        if main.path == part.path:  # and here too, but the keys are those of the whole
            del found[language]
            here = [] if main.problem else [main]
    parts = [*here, *(each for inner, _ in found.values() for each in inner)]
    return parts, part if main is None and not parts else main


def _is_part(values, key):
    return isinstance(values.get(key), Mapping)


def _is_parameters(key):
    """Whether a dict under this key is no part, under a misspelt name too."""
    return key in _NO_PARTS or str(key).startswith(("rope", "rotary"))


def _keys_of_parts(part, specs, own):
    """Keys of the parts; those of a model that rotates itself if they say something."""
    for key, spec in specs.items():
        if not isinstance(part.values.get(key), Mapping | None):
            message = f"{key}={part.values[key]!r} must be a dict or null"
            raise part_error(part.path, message)
        if part.values.get(key) is None and not spec.get("optional"):
            yield key
    for key, values in part.values.items():
        if isinstance(values, Mapping) and not _is_parameters(key):
            if not own or key in specs or any(values.get(name) for name in _OWN):
                yield key


def _key_of_language(part, language, specs):
    """The key of the language model, as the code or as the release calls it.

    A model whose parts all do not rotate needs none: the error names the model.
    """
    if part.model_type in tables()["without_rotary"]:
        return None
    renamed = [key for key in LANGUAGE if key not in specs]
    keys = [language, *renamed] if language else [] if specs else renamed
    return next((key for key in keys if _is_part(part.values, key)), None)


def _child(part, key, specs, around):
    """The part under `key`, with the model type that its place gives it."""
    values = part.values.get(key)
    also = {spec["also"]: spec for spec in specs.values() if "also" in spec}
    spec = specs.get(key, also.get(key, {}))
    if values is None:
        model_type, init = spec.get("model_type"), spec.get("init", {})
        return part.inner(key, init.get("model_type", model_type), init, held=False)
    named = None
    if not spec.get("fixed"):  # else the code takes one class, whatever the name
        named = model_type_of(values, (*part.path, key))
        whole = tables()["sub_configs"].get(named, {})
        if key in whole and not any(_is_part(values, name) for name in whole):
            named = whole[key].get("model_type")  # a part by the name of the whole
    default = spec.get("model_type") or around.get(key, {}).get("model_type")
    if spec.get("merged"):
        values = _filled(spec["init"], values)
    return part.inner(key, named or default, values)


def _filled(init, values):
    """`values`, and those of the code for what they lack.

    A base in `rope_parameters` keeps the `rope_theta` of the code away.
    """
    given = values.get("rope_parameters")
    if isinstance(given, Mapping) and given.get("rope_theta") is not None:
        init = {key: value for key, value in init.items() if key != "rope_theta"}
    return {**init, **values}


def _text_without_a_part(part, language, specs, filled):
    """The language model of a config that has no part for it.

    Its keys stand at the level of the whole, as in first releases, or nowhere: then it
    is `filled` in by the code. Keys and parts that nobody would read are a problem.
    """
    known = [tables()["models"].get(s.get("model_type"), {}) for s in specs.values()]
    names = {name for values in known for name in values.get("aliases", {}).values()}
    names |= STRUCTURE | ROTARY | FOREIGN.keys()
    here, code = part.values, f"the code of model_type={part.model_type!r}"
    said = [key for key in here if key in names and here[key] is not None]
    flat = part.inner(language, specs[language].get("model_type"), here)
    flat = replace(flat, path=part.path, rotary=flat.known)
    if not said:
        parts = [key for key in here if key not in specs and _is_part(here, key)]
        other = next((key for key in parts if names & here[key].keys()), None)
        if other is None:
            return filled
        problem = (
            f"the config holds {other} and no {language}, and {code} reads the latter; "
            "rename it, or remove it"
        )
        return replace(flat, problem=problem)
    rope = any(here.get(key) is not None for key in ROTARY)
    if "vocab_size" in here or (rope and "patch_size" not in here):
        return flat
    others = [key for key in specs if key != language]
    also = f", and those of {' or '.join(others)} into that" if others else ""
    return replace(
        flat,
        problem=f"the config holds {said[0]}={here[said[0]]!r}, which {code} reads in "
        f"its parts; write keys of the text into {language}{also}",
    )
