"""JSON of files that may come from anywhere."""

import json


def parse(content: bytes) -> dict:
    """The object that UTF-8 text holds, in which no key may stand twice.

    Raises:
        ValueError: If it is none, or a string of it is no text.
    """
    try:
        found = json.loads(
            content.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse
        )
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(found, dict):
        raise ValueError(f"it holds a {type(found).__name__} and no object")
    return found


def _once(pairs):
    found = {}
    for key, value in pairs:
        try:
            key.encode()
        except UnicodeEncodeError as error:  # half of a surrogate pair
            raise ValueError(f"the key {key!r} is no text") from error
        if key in found:
            raise ValueError(f"the key {key!r} stands in it twice")
        found[key] = value
    return found


def _refuse(constant):
    raise ValueError(f"{constant} is no number of JSON")
