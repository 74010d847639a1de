"""Which part of a config holds the rotary embedding."""

import json
from collections.abc import Mapping
from functools import cache
from importlib import resources

from ._hf_families import FAMILIES, REFUSED, SAME_CODE
from ._hf_vocabulary import FOREIGN, TOP_LEVEL

# Any of these at its own level says that a composite config means itself.
_OWN = ("rope_parameters", "rope_scaling", "rope_theta")


def part_error(function, path, message):
    place = "".join(f"[{key!r}]" for key in path)
    place = f"config{place}: " if place else ""
    return ValueError(f"{function}: {place}{message}.")


@cache
def tables():
    """Defaults and sub-configs by model type, as `conformance.defaults` wrote them."""
    path = resources.files("attnax.interop") / "hf_defaults.json"
    return json.loads(path.read_text())


def find_part(function, config):
    """`(path, model_type, part)` of the one part that has rotary positions."""
    if not isinstance(config, Mapping):
        raise ValueError(
            f"{function}: config is a {type(config).__name__}, but must be a dict as "
            "in config.json; pass config.to_dict()."
        )
    model_type = _model_type(function, config)
    found = list(_candidates(function, config, (), None))
    if not found and model_type in tables()["sub_configs"]:
        raise ValueError(
            f"{function}: no part of the config of {model_type=} has rotary positions "
            "that are known; if one has them, pass that part, with layout=."
        )
    found = found or [((), model_type, config)]
    _check_above(function, config, found)
    if len(found) > 1:
        choices = ", ".join(
            f"config{''.join(f'[{key!r}]' for key in path)} with {model_type=}"
            for path, model_type, _ in found
        )
        raise ValueError(
            f"{function}: several parts of the config have rotary positions; pass one "
            f"of them itself, {choices}."
        )
    return found[0]


def _candidates(function, config, path, pinned):
    """`(path, model_type, part)` of every outermost part that has rotary positions."""
    model_type = pinned or _model_type(function, config, path)
    subs = tables()["sub_configs"].get(model_type, {})
    own = any(config.get(key) for key in _OWN)
    text = subs.get("text_config", {})
    if model_type in FAMILIES or model_type in REFUSED:
        yield path, model_type, config
    elif own and text.get("flat"):  # of releases that knew no parts
        part = config.get("text_config")
        if isinstance(part, Mapping):  # what stands beside it, it repeats
            yield (*path, "text_config"), text["model_type"], part
        else:
            yield path, text["model_type"], config
    elif own and model_type not in tables()["sub_configs"]:
        yield path, model_type, config
    else:
        parts = {key: {} for key in subs}
        for key in subs:
            if not isinstance(config.get(key, {}), Mapping | None):
                message = f"{key}={config[key]!r} must be a dict or null"
                raise part_error(function, path, message)
        parts |= {k: v for k, v in config.items() if isinstance(v, Mapping)}
        for key, part in parts.items():
            sub = subs.get(key, {})
            default = sub.get("model_type")
            # Whatever such a part calls itself, the code takes one class.
            named = _model_type(function, part, (*path, key))
            fixed = default if sub.get("fixed") else named or default
            if fixed is not None or any(part.get(k) for k in _OWN):
                yield from _candidates(function, part, (*path, key), fixed)


def _check_above(function, config, found):
    """What stands above the parts that may be taken must not say something else."""
    levels = {}
    for path, _, part in found:
        level = config
        for depth, key in enumerate(path):
            levels.setdefault(path[:depth], (level, []))[1].append((path, part))
            level = level.get(key) or {}
    for outer, (level, parts) in levels.items():
        for key in (*sorted(TOP_LEVEL), *FOREIGN):
            value = level.get(key)
            if value is not None and all(part.get(key) != value for _, part in parts):
                places = " or ".join(
                    f"config{''.join(f'[{name!r}]' for name in path)}"
                    for path, _ in parts
                )
                raise part_error(
                    function,
                    outer,
                    f"the config holds {key}={value!r}, which the code of "
                    f"model_type={level.get('model_type')!r} does not read, for it has "
                    f"rotary positions in {places}; write it there or remove it",
                )


def _model_type(function, config, path=()):
    """The model type whose code the config is for."""
    model_type = config.get("model_type")
    if not isinstance(model_type, str | None):
        raise part_error(function, path, f"{model_type=} must be a name")
    return SAME_CODE.get(model_type, model_type) if model_type else model_type
