"""Keys about position biases that no rule has read: they are errors."""

from .._config.part import part_error
from .._config.values import shown
from .._config.wrong_keys import instead, nearest
from .vocabulary import ABOUT, KEYS, says_something


def check_all_read(part, family, keys, similar):
    """Raises if a key about position biases was not read, or is misspelt.

    A bias made without the key might not be the one that the config describes. Keys
    that the class of the config has are its own, whether or not this part reads them.
    """
    _check_names(keys)
    known = {*KEYS, *keys.aliases, *keys.defaults, *family.elsewhere, *similar}
    for key in keys.unread():
        value = keys.values[key]
        if key in ABOUT:
            if says_something(key, value) and key not in (
                *family.elsewhere,
                *keys.defaults,
            ):
                raise keys.error(
                    f"the config holds {key}={shown(value)}, which the position biases "
                    f"of model_type={part.model_type!r} do not read; remove it"
                )
        elif isinstance(key, str) and key not in known:
            meant = None if key.startswith("_") else nearest(key.lower(), KEYS)
            if meant:
                raise keys.error(
                    f"the config holds {key}={shown(value)}; {instead((meant,))}"
                )


def _check_names(keys):
    """Raises if two names of a setting that was read hold different values.

    The code takes the name that its class knows as the other's, attnax the first.
    """
    for key in sorted(keys.read & keys.aliases.keys()):
        for other in keys.aliases[key]:
            if keys.values.get(other, keys.values[key]) != keys.values[key]:
                raise keys.error(
                    f"the config holds {key}={shown(keys.values[key])} and "
                    f"{other}={shown(keys.values[other])}, which are two names of one "
                    "setting; remove one of them"
                )


def check_above(config, part):
    """Raises if a level above the part holds a key that only the part reads."""
    where = "".join(f"[{key!r}]" for key in part.path)
    level = config
    for depth, inner in enumerate(part.path):
        for key in sorted(ABOUT):
            value = level.get(key)
            if says_something(key, value) and part.values.get(key) != value:
                raise part_error(
                    part.path[:depth],
                    f"the config holds {key}={shown(value)}, which is not read here: "
                    f"write the key into config{where}, or remove it",
                )
        level = level.get(inner) or {}
