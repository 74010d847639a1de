"""JSON from files that nobody has checked."""

import json

from ...._checks import type_of


def parse(content: bytes) -> dict:
    """The object that a UTF-8 text holds.

    Raises:
        ValueError: If the text is no JSON object, an object in it has a key twice, or a
            key is not valid Unicode.
    """
    try:
        found = json.loads(
            content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds {type_of(found)} in place of an object")
    return found


def _once(pairs):
    found = {}
    for key, value in pairs:
        try:
            key.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair
            raise ValueError(f"the key {key!r} is not valid Unicode") from error
        if key in found:
            raise ValueError(f"it has the key {key!r} twice")
        found[key] = value
    return found


def _refuse(constant):
    raise ValueError(f"{constant} is not a number in JSON")
