"""The record of a family of sinusoids, and the options that its settings stand for."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from .._model_types import by_name, family_of


class SinusoidFamily(NamedTuple):
    """Code that makes sinusoids in one way.

    Attributes:
        name: The name of the family in every table.
        options: A function from the settings of that code, under their own names, to
            options of attnax.
        types: Model types of transformers with this family, separated by spaces.
    """

    name: str
    options: Callable[..., dict[str, Any]]
    types: str = ""


class SinusoidFamilies:
    """A table of families."""

    def __init__(self, rows: Iterable[SinusoidFamily]):
        self.by_name = by_name((row.name, row) for row in rows)
        self.types = by_name((row.types, row.name) for row in self.by_name.values())

    def options(self, family: object, settings: dict[str, Any]) -> dict[str, Any]:
        """The options of a family; a `ValueError` for a setting that it does not have.

        The functions of the families check the values.
        """
        family = family_of(family, self.by_name, self.types, {})
        options = self.by_name[family].options
        known = inspect.signature(options).parameters
        for setting, value in settings.items():
            if setting not in known:
                raise ValueError(
                    f"{setting}={value!r} must be a setting of {family=}: "
                    f"{sorted(known)}."
                )
        for setting, parameter in known.items():
            if parameter.default is parameter.empty and setting not in settings:
                raise ValueError(f"{setting} must be given for {family=}.")
        return options(**settings)
