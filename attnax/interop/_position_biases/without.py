"""Configs of which no part has position biases: what they may say, and what not."""

from .._config.part import part_error
from .._config.values import shown
from .._model_types import is_model_type
from .families.table import REFUSED, SWITCHES
from .parts import part_names, tables
from .vocabulary import ABOUT, says_something


def check_none(levels, parts, name):
    """Raises unless the model has no position biases, and no part was asked for.

    `parts` are those that have some, of which none has the `name`.
    """
    for level in levels:
        if name is None or level.part.name == name:
            _check_known(level)
    if parts:
        raise ValueError(
            f"part={name!r} must be one of {part_names(parts)}, which are the parts of "
            "this model that have position biases."
        )
    for level in levels:
        _check_known(level)
        _check_unread(level.part)
    if name is not None:
        model_type = levels[0].part.model_type
        raise ValueError(
            f"part={name!r} must be None, for the config of {model_type=} has no part "
            "with position biases."
        )


def _check_known(level):
    """Raises for a model type of which nothing is known, or that is refused."""
    part, model_type = level.part, level.part.model_type
    switch = SWITCHES.get(model_type)
    if model_type in REFUSED and (switch is None or part.values.get(switch)):
        raise part_error(part.path, f"{model_type=}: {REFUSED[model_type]}")
    if level.named and part.held and not is_model_type(model_type):
        whose = "" if part.path else "the config's "  # the path names a part
        raise part_error(
            part.path,
            f"{whose}{model_type=} is none of transformers 5.23, and may have position "
            "biases. Read its own code: if it is that of a model in the table, write "
            "that model_type",
        )


def _check_unread(part):
    """Raises if a part without position biases has a key about them."""
    own = tables()["not_read"].get(part.model_type, ())
    for key in sorted(ABOUT):
        value = part.values.get(key)
        if says_something(key, value) and value is not False and key not in own:
            raise part_error(
                part.path,
                f"the config holds {key}={shown(value)}, which the code of "
                f"model_type={part.model_type!r} does not read; remove it",
            )
