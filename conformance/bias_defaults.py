"""Writes `attnax/interop/_position_biases/defaults.json`: what a missing key means.

    python -m conformance.bias_defaults

The file holds facts of the installed transformers, whose version it names:

- `models`: for every model type with position biases, the default of each key that a
  rule reads, `null` for none, and the other names of these keys.
- `not_read`: keys about position biases of model types that have none.
- `named_parts`: for every model type, its parts that may be of any model type.
- `similar_keys`: keys of other code that look like misspelt ones of attnax.
"""

import dataclasses
import json
import logging
import pathlib

import transformers

from attnax.interop._config.wrong_keys import nearest
from attnax.interop._position_biases.families.table import BIAS_FAMILIES, REFUSED
from attnax.interop._position_biases.vocabulary import ABOUT, KEYS

from .classes import config_classes, default_of, lines_of, type_names
from .sub_configs import is_fixed

PATH = (
    pathlib.Path(__file__).parents[1]
    / "attnax"
    / "interop"
    / "_position_biases"
    / "defaults.json"
)


def defaults_of(cls):
    """The defaults that attnax reads, of one class."""
    aliases = {a: b for a, b in cls.attribute_map.items() if {a, b} & KEYS}
    wanted = KEYS | {*aliases, *aliases.values()}
    out = {
        field.name: default_of(field)
        for field in dataclasses.fields(cls)
        if field.name in wanted
    }
    out = {key: _plain(value) for key, value in out.items()}
    return out | ({"aliases": aliases} if aliases else {})


def _plain(value):
    if isinstance(value, transformers.PreTrainedConfig):
        return _plain(value.to_dict())
    return list(value) if isinstance(value, tuple) else value


def similar_keys(classes):
    """Keys of any config that look like misspelt ones of attnax, but are not."""
    names = {f.name for cls in classes.values() for f in dataclasses.fields(cls)}
    names |= {name for cls in classes.values() for name in cls.attribute_map}
    return sorted(name for name in names - KEYS if nearest(name.lower(), KEYS))


def not_read(classes, names):
    """The keys about position biases of classes whose models have none."""
    out = {}
    for name, cls in classes.items():
        own = {f.name for f in dataclasses.fields(cls)} & ABOUT
        own -= {"position_embedding_type"}  # its value says whether it is one
        model_type = names.get(name)
        if own and model_type and model_type not in {**BIAS_FAMILIES, **REFUSED}:
            out[model_type] = sorted(own)
    return out


def named_parts(classes, names):
    """The keys of parts whose `model_type` names their class."""
    out = {}
    for name, cls in classes.items():
        specs = cls.sub_configs_defaults
        keys = [key for key, spec in specs.items() if not is_fixed(cls, key, spec)]
        if keys and names.get(name):
            out[names[name]] = sorted(keys)
    return dict(sorted(out.items()))


def main():
    """Writes the file, one line per model type."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    classes = config_classes()
    names = type_names(classes)
    models = {
        names[name]: defaults_of(cls)
        for name, cls in classes.items()
        if names.get(name) in BIAS_FAMILIES
    }
    missing = set(BIAS_FAMILIES) - set(models)
    if missing:
        raise SystemExit(f"no class of configs for {sorted(missing)}")
    source = {"library": "transformers", "version": transformers.__version__}
    PATH.write_text(
        f'{{\n  "source": {json.dumps(source)},\n  "models": {{\n'
        + lines_of(dict(sorted(models.items())))
        + '\n  },\n  "not_read": '
        + json.dumps(not_read(classes, names))
        + ',\n  "named_parts": '
        + json.dumps(named_parts(classes, names))
        + ',\n  "similar_keys": '
        + json.dumps(similar_keys(classes))
        + "\n}\n"
    )
    print(f"{len(models)} model types: {PATH.name}")


if __name__ == "__main__":
    main()
