"""Writes `attnax/interop/_config/defaults.json`: what a missing key of a config means.

    python -m conformance.defaults

The file holds facts of the installed transformers, whose version it names:

- `models`: for every model type with rotary positions, the default of each key that
  attnax reads, the other names of these keys, the base and the fraction that the code
  sets, and the whole parameters if it sets more.
- `sub_configs`: for every model type with parts, what model each part is.
- `without_rotary`: the model types whose code rotates nothing.
- `similar_keys`: keys of other code that look like misspelt ones of attnax.
"""

import contextlib
import dataclasses
import importlib
import inspect
import json
import logging
import pathlib
import pkgutil

import transformers
from transformers import PreTrainedConfig

from attnax.interop._config.families.table import IN_TRANSFORMERS
from attnax.interop._config.wrong_keys import misspelt

from .sub_configs import READ, SENTINEL, sub_configs
from .without_rotary import without_rotary

PATH = (
    pathlib.Path(__file__).parents[1]
    / "attnax"
    / "interop"
    / "_config"
    / "defaults.json"
)
# Names that constructors take, and that no table of the class lists.
EXTRA_ALIASES = {
    "dots3_note_vision_encoder": {
        "hidden_size": "embed_dim",
        "num_attention_heads": "num_heads",
    },
    "step3p5_vision": {
        "hidden_size": "width",
        "num_hidden_layers": "layers",
        "num_attention_heads": "heads",
    },
}


def config_classes():
    """Every class of configs, by name."""
    found = {}
    for module in pkgutil.iter_modules(transformers.models.__path__):
        name = f"transformers.models.{module.name}"
        for part in pkgutil.iter_modules(importlib.import_module(name).__path__):
            if part.name.startswith("configuration_"):
                loaded = importlib.import_module(f"{name}.{part.name}")
                for value in vars(loaded).values():
                    if inspect.isclass(value) and issubclass(value, PreTrainedConfig):
                        if value.__module__ == loaded.__name__:
                            found[value.__name__] = value
    return found


def type_names(classes):
    """The model type of each class; for a class without one, the place that uses it."""
    names = {name: cls.model_type for name, cls in classes.items() if cls.model_type}
    for owner in classes.values():
        for key, spec in owner.sub_configs_defaults.items():
            part = spec.config_class.__name__
            if owner.model_type and part in classes and part not in names:
                names[part] = f"{owner.model_type}.{key}"
    return names


def defaults_of(cls):
    """The defaults that attnax reads, of one class."""
    fields = {field.name: default_of(field) for field in dataclasses.fields(cls)}
    aliases = {a: b for a, b in cls.attribute_map.items() if {a, b} & READ}
    wanted = READ | {*aliases, *aliases.values()}
    out = {k: v for k, v in fields.items() if k in wanted and v not in (None, [], ())}
    out |= {"aliases": aliases} if aliases else {}
    if "rope_parameters" in fields:
        theta, fraction, parameters = _parameters(cls)
        out |= {"default_rope_theta": theta} if theta is not None else {}
        out |= {"default_partial_rotary_factor": fraction} if fraction else {}
        out |= {"rope_parameters": parameters} if parameters else {}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in out.items()}


def default_of(field):
    """The default of a field of a class; `None` without one."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def _parameters(cls):
    """The default base, the default fraction, and the parameters that the code sets."""
    theta = cls.default_theta if not isinstance(cls.default_theta, dict) else None
    plain, marked = cls().rope_parameters, None
    with contextlib.suppress(Exception):  # some take no base at this level
        marked = cls(rope_theta=SENTINEL).rope_parameters
    fraction = None
    with contextlib.suppress(Exception):  # some want parameters by layer type
        given = {"rope_type": "default", "rope_theta": 1.0}
        fraction = cls(rope_parameters=given).rope_parameters["partial_rotary_factor"]
    if any(isinstance(v, dict) for v in (plain or {}).values()):
        return theta, None, _sorted(plain)
    own = {k: v for k, v in (plain or {}).items() if (marked or plain)[k] == v}
    if own.get("partial_rotary_factor") == fraction:
        own.pop("partial_rotary_factor", None)
    plain_type = own.get("rope_type", "default") in ("default", "axial")
    if plain_type and set(own) <= {"rope_type", "rope_theta"}:
        own = {} if own.get("rope_theta", theta) == theta else own
    return theta, fraction, _sorted(own)


def _sorted(values):
    return {
        k: _sorted(v) if isinstance(v, dict) else v for k, v in sorted(values.items())
    }


def similar_keys(classes):
    """Keys of any config that look like misspelt ones of attnax, but are not."""
    names = {
        field.name for cls in classes.values() for field in dataclasses.fields(cls)
    }
    names |= {name for cls in classes.values() for name in cls.attribute_map}
    return sorted(name for name in names - READ if misspelt(name))


def main():
    """Writes the file, one line per model type."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    classes = config_classes()
    names = type_names(classes)
    models = {}
    for name, cls in classes.items():
        model_type = names.get(name)
        if model_type in IN_TRANSFORMERS:
            models[model_type] = defaults_of(cls) | _extra_aliases(model_type)
    missing = set(IN_TRANSFORMERS) - set(models)
    if missing:
        raise SystemExit(f"no class of configs for {sorted(missing)}")
    parts = sub_configs(classes, names)
    without = without_rotary(classes, names)
    PATH.write_text(_text(models, parts, without, similar_keys(classes)))
    print(
        f"{len(models)} model types, {len(parts)} with parts, {len(without)} without "
        f"rotary positions: {PATH.name}"
    )


def _text(models, parts, without, similar):
    """The text of the file."""
    source = {"library": "transformers", "version": transformers.__version__}
    return (
        f'{{\n  "source": {json.dumps(source)},\n  "models": {{\n'
        + lines_of(dict(sorted(models.items())))
        + '\n  },\n  "sub_configs": {\n'
        + lines_of(parts)
        + '\n  },\n  "without_rotary": '
        + json.dumps(without)
        + ',\n  "similar_keys": '
        + json.dumps(similar)
        + "\n}\n"
    )


def lines_of(table):
    """One line per entry."""
    return ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(entry, sort_keys=True)}"
        for name, entry in table.items()
    )


def _extra_aliases(model_type):
    extra = EXTRA_ALIASES.get(model_type)
    return {"aliases": extra} if extra else {}


if __name__ == "__main__":
    main()
