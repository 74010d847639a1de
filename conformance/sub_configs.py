"""Writes `attnax/interop/_config/sub_configs.json`: the parts of models.

    python -m conformance.sub_configs

The file has an entry for every model type of which some part is, or holds, a part with
rotary positions or position biases, in the code of the installed transformers.
"""

import contextlib
import json
import logging
import pathlib

import transformers
from transformers import PreTrainedConfig

from attnax.interop._config.families.table import IN_TRANSFORMERS, REFUSED
from attnax.interop._config.parts import LANGUAGE
from attnax.interop._config.vocabulary import ROTARY, STRUCTURE
from attnax.interop._position_biases.families.table import BIAS_FAMILIES
from attnax.interop._position_biases.families.table import REFUSED as BIAS_REFUSED
from attnax.interop._position_biases.vocabulary import KEYS

from .classes import config_classes, lines_of, type_names

PATH = (
    pathlib.Path(__file__).parents[1]
    / "attnax"
    / "interop"
    / "_config"
    / "sub_configs.json"
)
# Keys that attnax reads of rotary positions, and a value that no config has.
READ = STRUCTURE | ROTARY
SENTINEL = 12_345.0
TYPES = {*IN_TRANSFORMERS, *REFUSED, *BIAS_FAMILIES, *BIAS_REFUSED}


def main():
    """Writes the file, one line per model type."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    classes = config_classes()
    parts = sub_configs(classes, type_names(classes))
    source = {"library": "transformers", "version": transformers.__version__}
    PATH.write_text(
        f'{{\n  "source": {json.dumps(source)},\n  "sub_configs": {{\n'
        + lines_of(parts)
        + "\n  }\n}\n"
    )
    print(f"{len(parts)} model types with parts: {PATH.name}")


def sub_configs(classes, names):
    """The parts of each model type of which some part is, or holds, one of `TYPES`."""
    wanted, out, read = set(TYPES), {}, READ | KEYS
    for _ in range(3):  # parts of parts
        for class_name, cls in classes.items():
            model_type = names.get(class_name)
            if model_type is None or model_type in out:
                continue
            specs = cls.sub_configs_defaults
            types = {key: _part_type(spec, names) for key, spec in specs.items()}
            if wanted & set(types.values()):
                out[model_type] = _parts(cls, types, read)
        wanted |= set(out)
    return {name: out[name] for name in sorted(out)}


def _part_type(spec, names):
    return names.get(spec.config_class.__name__, spec.model_type)


def _parts(cls, types, read):
    """The facts that the code of a model has about each of its parts, by key.

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
        fixed = is_fixed(cls, key, spec)
        merged = _is_merged(cls, key, spec.init_kwargs)
        init = _read(spec.init_kwargs, read)
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


def is_fixed(cls, key, spec):
    """Whether the part has its class whatever its own `model_type` says."""
    made = lambda: _made(cls, **{key: {"model_type": "no such"}})
    return issubclass(spec.config_class, PreTrainedConfig) or made() is not None


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
        config = _made(cls, **{other: {"rope_theta": SENTINEL}})
        if config is not None and other not in cls.sub_configs_defaults:
            made = getattr(config, key).to_dict().get("rope_parameters")
            if str(SENTINEL) in str(made):
                return other
    return None


def _is_merged(cls, key, init):
    """Whether the code fills in single keys of a part that is there."""
    missing, empty = _made(cls), _made(cls, **{key: {}})
    if not init or missing is None or empty is None:
        return False
    missing, empty = getattr(missing, key), getattr(empty, key)
    if missing is None or empty is None:
        return False
    plain = _made(type(empty))
    return missing.to_dict() == empty.to_dict() != (plain and plain.to_dict())


def _made(cls, **values):
    """A configuration of these values, or `None` if they make none."""
    with contextlib.suppress(Exception):
        return cls(**values)
    return None


def _read(values, read):
    """The values that attnax reads, nulls included."""
    wanted = read | {"model_type"}
    out = {key: value for key, value in values.items() if key in wanted}
    inner = {k: _read(v, read) for k, v in values.items() if isinstance(v, dict)}
    return {k: v for k, v in inner.items() if v} | out


if __name__ == "__main__":
    main()
