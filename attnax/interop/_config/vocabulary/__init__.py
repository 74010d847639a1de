"""The vocabulary of rotary embeddings in configs: every key that is known, once.

Keys outside these tables are not looked at.
"""

from ..._model_types import by_name
from ..values import ANY
from . import hugging_face, other_engines

KEYS = by_name((*hugging_face.ROWS, *other_engines.ROWS))


def kind_of(key):
    """The kind of the values of a key."""
    return KEYS[key].kind if key in KEYS else ANY


def _where(field):
    return frozenset(name for name, key in KEYS.items() if getattr(key, field))


ROTARY = _where("rotary")
STRUCTURE = _where("structure")
INNER = _where("inner")
COMMON = _where("common")
UNCLEAR = _where("unclear")
SWITCHES = _where("switch")
ELSEWHERE = _where("elsewhere")
# Names of other engines, with what is known about each, in the order of the table.
FOREIGN = {name: key.foreign for name, key in KEYS.items() if key.foreign}
STANDS_FOR = {name: key.stands_for for name, key in KEYS.items() if key.stands_for}
