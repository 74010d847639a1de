"""The parts that the code of each model of transformers has."""

import json
from collections.abc import Collection
from functools import cache
from importlib import resources


def sub_configs(types: Collection[str], read: Collection[str]) -> dict[str, dict]:
    """The parts of each model type of which some part is, or holds, one of `types`.

    `conformance/sub_configs.py` says what the entries of a part mean. What the code
    sets in a part (`init`) is limited to the keys that are `read`.
    """
    table, wanted, found = _table(), set(types), set()
    while True:
        more = {name for name, specs in table.items() if _types_of(specs) & wanted}
        if more == found:
            break
        found, wanted = more, wanted | more
    keys = {*read, "model_type"}
    return {
        name: {key: _limited(spec, keys) for key, spec in table[name].items()}
        for name in table
        if name in found
    }


@cache
def _table():
    """What `conformance.sub_configs` wrote."""
    path = resources.files("attnax.interop._config") / "sub_configs.json"
    return json.loads(path.read_text())["sub_configs"]


def _types_of(specs):
    return {spec.get("model_type") for spec in specs.values()}


def _limited(spec, keys):
    """An entry whose `init` has these keys only; it is `merged` if any is left."""
    init = _values(spec.get("init", {}), keys)
    rest = {k: v for k, v in spec.items() if k != "init" and (init or k != "merged")}
    return rest | ({"init": init} if init else {})


def _values(init, keys):
    """The values of these keys, with what stands in dicts under other keys."""
    inner = {
        key: _values(value, keys)
        for key, value in init.items()
        if isinstance(value, dict)
    }
    own = {key: value for key, value in init.items() if key in keys}
    return {key: value for key, value in inner.items() if value} | own
