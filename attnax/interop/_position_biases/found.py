"""The stack of a part of a config, by the rules of its model type."""

from .._config.part import part_error
from .._config.tracked_keys import TrackedKeys
from .._config.values import shortened
from .families.table import BIAS_FAMILIES
from .parts import find_part, levels_of, part_names, stacks_of, tables
from .record import ModelBiases
from .unread import check_above, check_all_read
from .vocabulary import kind_of
from .without import check_none


def find(config, name):
    """`(part, stack)` of the part of that name; `None` without position biases.

    The stack of a config that turns the biases off may say so without layers.
    """
    levels = levels_of(config)
    parts = stacks_of(levels)
    part = find_part(parts, name)
    if part is None:
        check_none(levels, parts, name)
        return None
    check_above(config, part)
    family = BIAS_FAMILIES[part.model_type]
    keys = keys_of(part)
    stack = _by_rule(family.stacks[part.stack], part, keys)
    check_all_read(part, family, keys, tables()["similar_keys"])
    return None if stack is None else (part, stack)


def names_of_parts(config):
    """The names of the parts with position biases; raises if there may be others."""
    levels = levels_of(config)
    parts = stacks_of(levels)
    if not parts:
        check_none(levels, parts, None)
    return tuple(part_names(parts))


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
    note = BIAS_FAMILIES[part.model_type].note or None
    return ModelBiases(part.model_type, part.name, stack.layer_biases, note)
