"""Which part of a config holds the rotary embedding, and whose code reads it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from ._hf_families import FAMILIES, REFUSED, UNKNOWN, Family
from ._hf_keys import Keys
from ._hf_layers import layer_types
from ._hf_vocabulary import ELSEWHERE, FOREIGN, TOP_LEVEL

# Any of these at its own level says that a composite config means itself.
_OWN = ("rope_parameters", "rope_scaling", "rope_theta")


@dataclass(frozen=True)
class Context:
    """A model's part of a config, with the rules that read it.

    Attributes:
        function: Whose name errors carry.
        path: Keys from the whole config to this part.
        model_type: As the config or the model around it says.
        family: The rules of the model type.
        keys: This part, remembering what was read.
        layer_types: One name per layer; none where their number is not known.
    """

    function: str
    path: tuple[str, ...]
    model_type: str | None
    family: Family
    keys: Keys
    layer_types: Sequence[str] = ()

    def error(self, message):
        """A `ValueError` that says where in the config."""
        place = "".join(f"[{key!r}]" for key in self.path)
        place = f"config{place}: " if place else ""
        return ValueError(f"{self.function}: {place}{message}.")

    def at(self, index):
        """The context of one layer, with what it changes."""
        if index is None:
            return self
        changes = self.family.overrides(self, self.layer_types).get(index, {})
        return replace(self, keys=self.keys.changed(**changes)) if changes else self


@cache
def tables():
    """Defaults and sub-configs by model type, as `conformance.defaults` wrote them."""
    path = resources.files("attnax.interop") / "hf_defaults.json"
    return json.loads(path.read_text())


def find(function, config, layout):
    """The context of the one part of `config` that has rotary positions."""
    if not isinstance(config, Mapping):
        raise ValueError(
            f"{function}: config is a {type(config).__name__}, but must be a dict as "
            "in config.json; pass config.to_dict()."
        )
    model_type = config.get("model_type")
    found = list(_candidates(config, (), None))
    if not found and model_type in tables()["sub_configs"]:
        raise ValueError(
            f"{function}: no part of the config of {model_type=} has rotary positions "
            "that are known; if one has them, pass that part, with layout=."
        )
    found = found or [((), model_type, config)]
    if len(found) > 1:
        choices = ", ".join(
            f"config{''.join(f'[{key!r}]' for key in path)} with {model_type=}"
            for path, model_type, _ in found
        )
        raise ValueError(
            f"{function}: several parts of the config have rotary positions; pass one "
            f"of them itself, {choices}."
        )
    path, model_type, part = found[0]
    return _context(function, path, model_type, part, layout)


def _candidates(config, path, pinned):
    """`(path, model_type, part)` of every outermost part that has rotary positions."""
    model_type = pinned or config.get("model_type")
    subs = tables()["sub_configs"].get(model_type, {})
    own = any(config.get(key) for key in _OWN)
    text = subs.get("text_config", {})
    if model_type in FAMILIES or model_type in REFUSED:
        yield path, model_type, config
    elif own and text.get("flat"):  # of releases that knew no parts
        yield path, text["model_type"], config
    elif own and model_type not in tables()["sub_configs"]:
        yield path, model_type, config
    else:
        parts = {key: {} for key in subs}
        parts |= {k: v for k, v in config.items() if isinstance(v, Mapping)}
        for key, part in parts.items():
            sub = subs.get(key, {})
            default = sub.get("model_type")
            # Whatever such a part calls itself, the code takes one class.
            fixed = default if sub.get("fixed") else part.get("model_type") or default
            if fixed is not None or any(part.get(k) for k in _OWN):
                yield from _candidates(part, (*path, key), fixed)


def _context(function, path, model_type, part, layout):
    family = FAMILIES.get(model_type, UNKNOWN)
    known = tables()["models"].get(model_type, {})
    aliases = known.get("aliases", {})
    keys = Keys(part, "the config", known, aliases)
    context = Context(function, path, model_type, family, keys)
    if model_type in REFUSED:
        raise context.error(f"model_type={model_type!r}: {REFUSED[model_type]}")
    if family is UNKNOWN and layout is None:
        raise context.error(
            f"model_type={model_type!r} is not in the table of models with rotary "
            "positions; if its code is that of one that is, write that model_type; "
            "else pass layout='half' (most models of Hugging Face) or 'interleaved', "
            "for a config does not tell how channels are paired"
        )
    for key, instead in FOREIGN.items():
        if part.get(key) is not None and key not in family.elsewhere:
            raise context.error(
                f"{key!r} is a name of other engines; Hugging Face calls it {instead}"
            )
    return replace(context, layer_types=layer_types(context))


def check_all_read(context, params):
    """Keys of the vocabulary that nobody has read are an error, not a default."""
    keys, family = context.keys, context.family
    for key in params.unread():
        if key not in ELSEWHERE and key not in family.elsewhere:
            if key == "partial_rotary_factor" and params.values[key] == 1.0:
                continue
            raise context.error(
                f"{params.where} holds {key}={params.values[key]!r}, which the rotary "
                f"embedding of model_type={context.model_type!r} does not read; remove "
                "it, or check rope_type"
            )
    for key in keys.unread():
        if key not in TOP_LEVEL or key in ELSEWHERE or key in family.elsewhere:
            continue
        if key == "partial_rotary_factor" and keys.values[key] == 1.0:
            continue
        raise context.error(
            f"the config holds {key}={keys.values[key]!r}, which the rotary embedding "
            f"of model_type={context.model_type!r} does not read; remove it"
        )
