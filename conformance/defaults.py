"""Writes `attnax/interop/_config/defaults.json`: what a missing key of a config means.

    python -m conformance.defaults

The file holds facts of the installed transformers, whose version it names:

- `models`: for every model type with rotary positions, the default of each key that
  attnax reads, the other names of these keys, the base and the fraction that the code
  sets, and the whole parameters if it sets more.
- `without_rotary`: the model types whose code rotates nothing.
- `similar_keys`: keys of other code that look like misspelt ones of attnax.
"""

import contextlib
import dataclasses
import json
import logging
import pathlib

import transformers

from attnax.interop._config.families.table import IN_TRANSFORMERS
from attnax.interop._config.wrong_keys import misspelt

from .classes import config_classes, default_of, lines_of, type_names
from .sub_configs import READ, SENTINEL
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
    without = without_rotary(classes, names)
    PATH.write_text(_text(models, without, similar_keys(classes)))
    print(
        f"{len(models)} model types, {len(without)} without rotary positions: "
        f"{PATH.name}"
    )


def _text(models, without, similar):
    """The text of the file."""
    source = {"library": "transformers", "version": transformers.__version__}
    return (
        f'{{\n  "source": {json.dumps(source)},\n  "models": {{\n'
        + lines_of(dict(sorted(models.items())))
        + '\n  },\n  "without_rotary": '
        + json.dumps(without)
        + ',\n  "similar_keys": '
        + json.dumps(similar)
        + "\n}\n"
    )


def _extra_aliases(model_type):
    extra = EXTRA_ALIASES.get(model_type)
    return {"aliases": extra} if extra else {}


if __name__ == "__main__":
    main()
