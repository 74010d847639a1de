"""The stack of a part of a config, by the rules of its model type."""

from .._config.part import part_error
from .._config.tracked_keys import TrackedKeys
from .._config.values import shortened
from .._model_types import is_model_type
from .families.table import BIAS_FAMILIES, REFUSED
from .parts import find_part, tables
from .record import ModelBiases
from .unread import check_above, check_all_read
from .vocabulary import kind_of


def find(config, name):
    """`(part, stack)` of the part of that name; `None` without position biases.

    The stack of a config that turns the biases off may say so without layers.
    """
    part = find_part(config, name)
    if part is None:
        _check_known(config)
        return None
    check_above(config, part)
    family = BIAS_FAMILIES[part.model_type]
    keys = keys_of(part)
    stack = _by_rule(family.stacks[part.stack], part, keys)
    check_all_read(part, family, keys, tables()["similar_keys"])
    return None if stack is None else (part, stack)


def _by_rule(rule, part, keys):
    """What a rule makes of the keys; errors of records say in which part."""
    try:
        return rule(keys)
    except ValueError as error:
        if hasattr(error, "path"):
            raise
        message = getattr(error, "text", str(error)).removesuffix(".")
        raise part_error(part.path, message) from error


def keys_of(part):
    """The keys of a part, with the defaults of its model type."""
    known = dict(tables()["models"].get(part.model_type, {}))
    aliases = known.pop("aliases", {})
    error = lambda message: part_error(part.path, shortened(message))
    return TrackedKeys(part.values, "the config", known, aliases, error, kind_of)


def model_biases(part, stack):
    """The record of a stack that was found."""
    return ModelBiases(part.model_type, part.name, stack.layer_biases)


def _check_known(config):
    """Raises for a model type of which nothing is known, or that is refused."""
    model_type = config.get("model_type")
    if model_type in REFUSED:
        raise ValueError(f"model_type={model_type!r}: {REFUSED[model_type]}.")
    if not is_model_type(model_type):
        raise ValueError(
            f"the config's {model_type=} is none of transformers 5.23, and may have "
            "position biases. Read its own code: if it is that of a model in the "
            "table, write that model_type."
        )
