"""The part of a config that is meant, checked against what stands around it."""

from .families.table import REFUSED
from .part import model_type_of, part_error, tables
from .parts import all_parts
from .values import check_name
from .vocabulary import FOREIGN, ROTARY, STRUCTURE
from .wrong_keys import instead, misspelt


def part_names(config):
    """The names of the parts with rotary positions, the language model first."""
    parts, _ = all_parts(config)
    return _held(parts)


def find_part(config, name=None):
    """`(path, model_type, values)` of the named part, or of the language model."""
    check_name("part", name)
    parts, main = all_parts(config)
    if name is None:
        part = _main(config, parts, main)
    else:
        part = _named(config, parts, name)
    if part.problem:
        raise part_error(part.path, part.problem)
    _check_above(config, [p for p in parts if p.held or p == part])
    return part.path, part.model_type, part.values


def _held(parts):
    """The names of the parts that stand in the config."""
    return tuple(dict.fromkeys(p.name for p in parts if p.name and p.held))


def _named(config, parts, name):
    """The part of that name, which the model's code may have filled in."""
    for part in parts:
        if part.name == name != "":
            return part
    if not _held(parts):
        raise ValueError(
            f"part={name!r} must be None, for the config of "
            f"model_type={model_type_of(config)!r} has no parts with rotary "
            "positions of their own."
        )
    raise ValueError(
        f"part={name!r} must be one of {list(_held(parts))}, which are the "
        "parts of this config that have rotary positions."
    )


def _main(config, parts, main):
    """The language model, or the only part; raises if there is a choice."""
    if main is None:
        if len(parts) == 1:
            return parts[0]
        model_type = model_type_of(config)
        if not _held(parts):
            raise ValueError(
                f"the config of {model_type=} holds no part with rotary positions, and "
                "the code has several and no language model; add the part that is "
                "meant."
            )
        raise ValueError(
            f"several parts of a model of {model_type=} have rotary positions, and "
            f"none is the language model; pass part, one of {list(_held(parts))}."
        )
    if main.rotary or main.problem or not _held(parts):
        return main
    none = main.model_type in tables()["without_rotary"]
    raise part_error(
        main.path if main.held else (),
        f"the language model, with model_type={main.model_type!r}, has no rotary "
        f"positions{'' if none else ' that are known'}; for those of another part pass "
        f"part, one of {list(_held(parts))}",
    )


def _check_above(config, parts):
    """Raises if a level above the parts contradicts them, or holds a misspelt key."""
    own = {part.path for part in parts}
    for path, (level, inner) in _levels_above(config, parts).items():
        # A part, or code that is known and refused, reads its own level.
        if path not in own and str(level.get("model_type")) not in REFUSED:
            _check_level(path, level, inner)


def _levels_above(config, parts):
    """Each level above a part, by its path: its values and the parts inside it."""
    levels = {}
    for part in parts:
        level = config
        for depth, key in enumerate(part.path):
            levels.setdefault(part.path[:depth], (level, []))[1].append(part)
            level = level.get(key) or {}
    return levels


def _check_level(path, level, parts):
    for key in (*sorted(ROTARY), *FOREIGN):
        value = level.get(key)
        if value is not None and all(p.values.get(key) != value for p in parts):
            raise part_error(path, _unread(key, level, dict.fromkeys(parts)))
    known = {*ROTARY, *STRUCTURE, *FOREIGN, *tables()["similar_keys"]}
    for key, value in level.items():
        if isinstance(key, str) and value is not None and key not in known:
            meant = misspelt(key)
            if ROTARY.intersection(meant):
                message = f"the config holds {key}={value!r}; {instead(meant)}"
                raise part_error(path, message)


def _unread(key, level, parts):
    """The message about a key that stands above the parts and not in them."""
    places = dict.fromkeys("".join(f"[{name!r}]" for name in p.path) for p in parts)
    return (
        f"the config holds {key}={level[key]!r}, which the code of "
        f"model_type={level.get('model_type')!r} does not read here; its rotary "
        f"positions are in {' or '.join(f'config{place}' for place in places)}: write "
        "the key there or remove it"
    )
