"""The kinds of values that keys hold, and the text of values in errors."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..._checks import is_number

# The most layers, or channels of a head. No model has more, and each takes memory.
MOST = 2**16
# The most frequencies of all layers together.
MOST_FREQUENCIES = 2**20


def shown(value):
    """The text of a value for an error, at most 200 characters long."""
    try:
        return shortened(repr(value), 200)
    except ValueError:  # an int of more digits than Python writes
        return "a number of thousands of digits"


def shortened(text, most=1000):
    """The text, with its middle left out if it is longer than `most`."""
    return text if len(text) <= most else f"{text[: most - 100]} ... {text[-90:]}"


def _whole(least, most=2**53):
    def test(value):
        return is_number(value) and least <= value <= most and value == int(value)

    return test


def _listed(test):
    return lambda value: (
        isinstance(value, list | tuple) and all(test(entry) for entry in value)
    )


def _by_layer(value):
    """Whether the keys are numbers of layers, in JSON strings, and the values dicts."""
    return isinstance(value, Mapping) and all(
        shown(index).strip("'").isdecimal() and isinstance(changes, Mapping)
        for index, changes in value.items()
    )


def _blocks(value):
    """Whether each layer has a dict, which may hold a dict about its attention."""
    return isinstance(value, list | tuple) and all(
        isinstance(block, Mapping)
        and isinstance(block.get("attention"), Mapping | None)
        for block in value
    )


def _base(value):
    """Whether the value is one base or a list of them; not every code takes a list."""
    return is_number(value) or _listed(is_number)(value)


def check_name(argument, value):
    """Raises unless an argument is a string or `None`."""
    if not isinstance(value, str | None):
        raise ValueError(f"{argument}={shown(value)} must be a name.")


@dataclass(frozen=True)
class Kind:
    """A kind of values: what it must be, in words, and the test of it."""

    words: str
    test: Callable[[object], bool]

    def __str__(self):
        return self.words


ANY = Kind("anything", lambda value: True)
SIZE = Kind("a positive whole number", _whole(1))
# Each layer, and each channel of a head, takes memory.
BOUNDED = Kind(f"a positive whole number, at most {MOST}", _whole(1, MOST))
COUNT = Kind("a whole number", _whole(0))
COUNTS = Kind("a list of whole numbers", _listed(_whole(0)))
NUMBERS = Kind("a list of numbers", _listed(is_number))
BASE = Kind("a number, or a list of numbers", _base)
NAME = Kind("a name", lambda value: isinstance(value, str))
NAMES = Kind("a list of names", _listed(NAME.test))
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
MAPPING = Kind("a dict", lambda value: isinstance(value, Mapping))
BY_LAYER = Kind("a dict from layers to dicts", _by_layer)
BLOCKS = Kind("a list of dicts, whose attention is a dict", _blocks)
