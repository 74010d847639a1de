"""Writes `attnax/interop/_config/defaults.json`: what a missing key of a config means.

    python -m conformance.defaults

For every model type with rotary positions: the default of each key that attnax reads,
the other names of these keys, the base and the fraction that the model's code sets, and
the whole parameters where it sets more. For every model type with parts: what model
each part is. The model types whose code rotates nothing, and keys that are not those
that attnax reads, but look like them. Facts of the installed transformers, which the
file names.
"""

import ast
import contextlib
import dataclasses
import functools
import importlib
import inspect
import json
import logging
import pathlib
import pkgutil
import re

import transformers
from transformers import PreTrainedConfig

from attnax.interop._config.families.table import IN_TRANSFORMERS, REFUSED
from attnax.interop._config.misspelt import misspelt
from attnax.interop._config.parts import LANGUAGE
from attnax.interop._config.vocabulary import ROTARY, STRUCTURE

PATH = (
    pathlib.Path(__file__).parents[1]
    / "attnax"
    / "interop"
    / "_config"
    / "defaults.json"
)
# Names that constructors take and no table of the class lists.
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
    """The model type of each class, or the place where a class without one is used."""
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
    """The base and the fraction for what gives none, and what the code sets itself."""
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
    """For each model type with parts of which one may rotate: the parts."""
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
    """What the code of a model with parts knows of each, by key.

    Which model it is; whether it is that one whatever it calls itself (`fixed`);
    whether it is the language model (`language`), which may stand under another key
    (`also`); whether a model may go without it (`optional`); and the values that the
    code sets where the part is missing (`init`), or where single keys are (`merged`).
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
    """The key of the part that is, or has, the language model; `None` without one."""
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
    """The other key under which the code finds the part, as in first releases."""
    for other in LANGUAGE:
        config = _made(cls, **{other: {"rope_theta": _SENTINEL}})
        if config is not None and other not in cls.sub_configs_defaults:
            made = getattr(config, key).to_dict().get("rope_parameters")
            if str(_SENTINEL) in str(made):
                return other
    return None


def _is_merged(cls, key, init):
    """Whether the code fills up a part that is there."""
    missing, empty = _made(cls), _made(cls, **{key: {}})
    if not init or missing is None or empty is None:
        return False
    missing, empty = getattr(missing, key), getattr(empty, key)
    plain = _made(type(empty))
    return missing.to_dict() == empty.to_dict() != (plain and plain.to_dict())


def _made(cls, **values):
    """A configuration, or `None` where these values make none."""
    with contextlib.suppress(Exception):
        return cls(**values)
    return None


def _read(values):
    """Those of the values that attnax reads, with nulls."""
    wanted = _WANTED | {"model_type"}
    out = {key: value for key, value in values.items() if key in wanted}
    inner = {k: _read(v) for k, v in values.items() if isinstance(v, dict)}
    return {k: v for k, v in inner.items() if v} | out


def similar_keys(classes):
    """Keys of any config that look like one that attnax reads, and are another."""
    names = {
        field.name for cls in classes.values() for field in dataclasses.fields(cls)
    }
    names |= {name for cls in classes.values() for name in cls.attribute_map}
    return sorted(name for name in names - _WANTED if misspelt(name))


# Names that code of rotary positions has, and those of anything with sine and cosine.
_ROTARY = re.compile(r"rotar|(?<!p)rope(?!r)|rotate_half|freqs_cis", re.IGNORECASE)
_ANGLES = re.compile(r"inv_freq|polar$|^cos$|^sin$|^cosine$|^sine$", re.IGNORECASE)
# Folders whose sines and cosines are added to something or are relative, and one that
# keeps the width of a rotary part without rotating it. Each was read.
_READ = frozenset(
    """
    autoformer bros canary detr funnel kimi_linear nemotron_asr_streaming parakeet
    patchtst xlnet
    """.split()
)
# They run whatever model their config names.
_WRAPPERS = frozenset(("timm_backbone", "timm_wrapper", "rag"))


def without_rotary(classes, names):
    """The model types whose code, and that of all their parts, rotates nothing."""
    folders = {f for f in _folders() if _rotates_nothing(f)} - _WRAPPERS
    found = {}
    for _ in range(3):  # parts of parts
        for name, cls in classes.items():
            parts = {spec.config_class for spec in cls.sub_configs_defaults.values()}
            if _folder(cls) in folders and parts <= set(found.values()):
                found[name] = cls
    types = {names[name] for name, cls in found.items() if cls.model_type}
    return sorted(types - {*IN_TRANSFORMERS, *REFUSED})


def _folder(cls):
    return cls.__module__.split(".")[2]


def _folders():
    return [found.name for found in pkgutil.iter_modules(transformers.models.__path__)]


@functools.cache
def _rotates_nothing(folder):
    """Whether no class of a folder names a rotation, or a class that does."""
    paths = sorted(
        (pathlib.Path(transformers.models.__path__[0]) / folder).glob("modeling_*.py")
    )
    words, others = set(), set()
    for path in paths:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                words |= set(_words(node))
            if isinstance(node, ast.ImportFrom) and node.level == 2 and node.module:
                others |= {m[0] for m in [node.module.split(".")] if len(m) > 1}
    rotates = any(_ROTARY.search(w) for w in words if w != "qk_rope_head_dim")
    angles = any(_ANGLES.search(w) for w in words) or "qk_rope_head_dim" in words
    if not paths or rotates or (angles and folder not in _READ):
        return False
    return all(_rotates_nothing(other) for other in others - {folder, "auto"})


def _words(class_node):
    """Names and attributes in the body of a class; its decorators do not call."""
    for node in class_node.body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name | ast.Attribute):
                yield inner.id if isinstance(inner, ast.Name) else inner.attr


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
