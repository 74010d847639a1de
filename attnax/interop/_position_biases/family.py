"""The rules of a model type: its stacks with position biases."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .._config.tracked_keys import TrackedKeys
from .stack import Stack

Rule = Callable[[TrackedKeys], Stack | None]


@dataclass(frozen=True)
class BiasFamily:
    """The rules of one or several model types.

    Attributes:
        stacks: Rule of each stack, by its name: from the keys of a config to the
            layers, or to `None` if the config turns the biases off.
        scheme: Name of the scheme in the documentation.
        elsewhere: Keys about position biases that are no error, though they are no
            fields of the class of the config and not every config has them read.
        note: What the code of transformers does otherwise, in the documentation.
    """

    stacks: Mapping[str, Rule]
    scheme: str
    elsewhere: tuple[str, ...] = ()
    note: str = ""
