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

from attnax.interop._config.families.table import IN_TRANSFORMERS, REFUSED
from attnax.interop._config.misspelt import misspelt
from attnax.interop._config.parts import LANGUAGE
from attnax.interop._config.vocabulary import ROTARY, STRUCTURE

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
_SENTINEL = 12_345.0
_WANTED = STRUCTURE | ROTARY


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
    fields = {field.name: _default(field) for field in dataclasses.fields(cls)}
    aliases = {a: b for a, b in cls.attribute_map.items() if {a, b} & _WANTED}
    wanted = _WANTED | {*aliases, *aliases.values()}
    out = {k: v for k, v in fields.items() if k in wanted and v not in (None, [], ())}
    out |= {"aliases": aliases} if aliases else {}
    if "rope_parameters" in fields:
        theta, fraction, parameters = _parameters(cls)
        out |= {"default_rope_theta": theta} if theta is not None else {}
        out |= {"default_partial_rotary_factor": fraction} if fraction else {}
        out |= {"rope_parameters": parameters} if parameters else {}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in out.items()}


def _default(field):
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
        marked = cls(rope_theta=_SENTINEL).rope_parameters
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


def sub_configs(classes, names):
    """The parts of each model type of which some part may rotate."""
    rotating, out = {*IN_TRANSFORMERS, *REFUSED}, {}
    for _ in range(3):  # parts of parts
        for class_name, cls in classes.items():
            model_type = names.get(class_name)
            if model_type is None or model_type in out:
                continue
            specs = cls.sub_configs_defaults
            types = {key: _part_type(spec, names) for key, spec in specs.items()}
            if rotating & set(types.values()):
                out[model_type] = _parts(cls, types)
        rotating |= set(out)
    return {name: out[name] for name in sorted(out)}


def _part_type(spec, names):
    return names.get(spec.config_class.__name__, spec.model_type)


def _parts(cls, types):
    """What the code of a model knows about each of its parts, by key.

    - `model_type`: the model type of the part.
    - `fixed`: whether the part has it whatever its own `model_type` says.
    - `language`: whether the part is the language model.
    - `also`: another key under which the language model may stand.
    - `optional`: whether a model may go without the part.
    - `init`: the values that the code sets if the part is missing.
    - `merged`: whether the code sets them for single missing keys too.
    """
    language, out = _language(cls), {}
    for key, spec in cls.sub_configs_defaults.items():
        fixed = issubclass(spec.config_class, PreTrainedConfig)
        fixed = fixed or _made(cls, **{key: {"model_type": "no such"}}) is not None
        merged = _is_merged(cls, key, spec.init_kwargs)
        init = _read(spec.init_kwargs)
        out[key] = {
            name: value
            for name, value in {
                "model_type": types[key],
                "fixed": fixed,
                "language": key == language,
                "also": key == language and _also(cls, key),
                "optional": spec.optional,
                "init": init,
                "merged": merged and bool(init),
            }.items()
            if value
        }
    return out


def _language(cls):
    """The key of the part that is or holds the language model; `None` without one."""
    config = _made(cls)
    if config is None:  # an assistant, whose defaults fit no text
        return "text_config" if "text_config" in cls.sub_configs_defaults else None
    text = config.get_text_config(decoder=True)
    for key in cls.sub_configs_defaults if text is not config else ():
        part = getattr(config, key)
        if part is text or (part and part.get_text_config(decoder=True) is text):
            return key
    return None


def _also(cls, key):
    """Another key under which the code finds the part, as in first releases."""
    for other in LANGUAGE:
        config = _made(cls, **{other: {"rope_theta": _SENTINEL}})
        if config is not None and other not in cls.sub_configs_defaults:
            made = getattr(config, key).to_dict().get("rope_parameters")
            if str(_SENTINEL) in str(made):
                return other
    return None


def _is_merged(cls, key, init):
    """Whether the code fills in single keys of a part that is there."""
    missing, empty = _made(cls), _made(cls, **{key: {}})
    if not init or missing is None or empty is None:
        return False
    missing, empty = getattr(missing, key), getattr(empty, key)
    plain = _made(type(empty))
    return missing.to_dict() == empty.to_dict() != (plain and plain.to_dict())


def _made(cls, **values):
    """A configuration of these values, or `None` if they make none."""
    with contextlib.suppress(Exception):
        return cls(**values)
    return None


def _read(values):
    """The values that attnax reads, nulls included."""
    wanted = _WANTED | {"model_type"}
    out = {key: value for key, value in values.items() if key in wanted}
    inner = {k: _read(v) for k, v in values.items() if isinstance(v, dict)}
    return {k: v for k, v in inner.items() if v} | out


def similar_keys(classes):
    """Keys of any config that look like misspelt ones of attnax, but are not."""
    names = {
        field.name for cls in classes.values() for field in dataclasses.fields(cls)
    }
    names |= {name for cls in classes.values() for name in cls.attribute_map}
    return sorted(name for name in names - _WANTED if misspelt(name))


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
    lines = [
        f"    {json.dumps(name)}: {json.dumps(models[name], sort_keys=True)}"
        for name in sorted(models)
    ]
    parts = [
        f"    {json.dumps(name)}: {json.dumps(part, sort_keys=True)}"
        for name, part in sub_configs(classes, names).items()
    ]
    none = without_rotary(classes, names)
    source = {"library": "transformers", "version": transformers.__version__}
    text = (
        f'{{\n  "source": {json.dumps(source)},\n  "models": {{\n'
        + ",\n".join(lines)
        + '\n  },\n  "sub_configs": {\n'
        + ",\n".join(parts)
        + '\n  },\n  "without_rotary": '
        + json.dumps(none)
        + ',\n  "similar_keys": '
        + json.dumps(similar_keys(classes))
        + "\n}\n"
    )
    PATH.write_text(text)
    print(
        f"{len(models)} model types, {len(parts)} with parts, {len(none)} without "
        f"rotary positions: {PATH.name}"
    )


def _extra_aliases(model_type):
    extra = EXTRA_ALIASES.get(model_type)
    return {"aliases": extra} if extra else {}


if __name__ == "__main__":
    main()
