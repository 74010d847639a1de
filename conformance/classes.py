"""The classes of configs of transformers, and lines of the files made from them."""

import dataclasses
import importlib
import inspect
import json
import pkgutil

import transformers
from transformers import PreTrainedConfig


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


def default_of(field):
    """The default of a field of a class; `None` without one."""
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None


def lines_of(table):
    """One line per entry."""
    return ",\n".join(
        f"    {json.dumps(name)}: {json.dumps(entry, sort_keys=True)}"
        for name, entry in table.items()
    )
