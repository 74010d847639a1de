"""Tables whose rows stand for several names each."""

from collections.abc import Iterable
from typing import TypeVar

_Value = TypeVar("_Value")


def by_name(rows: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    """The value of each name; a `ValueError` if a name stands in two rows."""
    found: dict[str, _Value] = {}
    for names, value in rows:
        for name in names.split():
            if name in found:
                raise ValueError(f"{name!r} must stand in one row of the tables.")
            found[name] = value
    return found
