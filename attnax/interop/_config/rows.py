"""Tables whose rows stand for several names each."""

from collections.abc import Iterable
from typing import TypeVar

from .._model_types import unique

_Value = TypeVar("_Value")


def by_name(rows: Iterable[tuple[str, _Value]]) -> dict[str, _Value]:
    """The value of each name; a `ValueError` if a name stands in the rows twice."""
    return unique((name, value) for names, value in rows for name in names.split())
