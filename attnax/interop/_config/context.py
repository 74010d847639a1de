"""The part of a config that is meant, with the rules of the code that reads it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .chosen_part import find_part
from .families.table import REFUSED, REMOTE, ROPE_FAMILIES, UNKNOWN
from .family import RopeFamily
from .layers import layer_types
from .part import part_error, tables
from .schemas.given import without_repetition
from .tracked_keys import TrackedKeys
from .values import shortened
from .vocabulary import COMMON, ROTARY, STANDS_FOR
from .wrong_keys import check_keys


@dataclass(frozen=True)
class Context:
    """A model's part of a config, with the rules that read it.

    Attributes:
        path: Keys from the whole config to this part.
        model_type: Name of the code that reads this part.
        family: Rules of the model type.
        keys: Values of this part, which remember what was read.
        layer_types: One name per layer; empty where their number is not known.
    """

    path: tuple[str, ...]
    model_type: str | None
    family: RopeFamily
    keys: TrackedKeys
    layer_types: Sequence[str] = ()

    @property
    def known(self):
        """Whether the model type is in the tables."""
        return self.family is not UNKNOWN

    def error(self, message):
        """A `ValueError` that says where in the config the problem is."""
        return part_error(self.path, shortened(message))

    def params(self, values, where):
        """Parameters of RoPE, whose errors name this part."""
        return TrackedKeys(values, where, error=self.error)

    def changes(self):
        """The keys that single layers change, by index."""
        return self.family.overrides(self, self.layer_types)

    def changed(self, values):
        """The context of a layer in which these keys have other values."""
        return replace(self, keys=self.keys.changed(**values)) if values else self

    def at(self, index):
        """The context of one layer."""
        return self.changed(self.changes().get(index, {}))


def find(config, part, layout):
    """The context of the part of `config` that is named, or of its language model."""
    path, model_type, values = find_part(config, part)
    return _context(path, model_type, values, layout)


def _context(path, model_type, part, layout):
    family = ROPE_FAMILIES.get(model_type, UNKNOWN)
    known = _known(model_type)
    error = lambda message: part_error(path, shortened(message))
    aliases = known.get("aliases", {})
    keys = TrackedKeys(without_repetition(part), "the config", known, aliases, error)
    variant = family.variant(keys) if family.variant is not None else None
    context = Context(path, model_type, variant or family, keys)
    if model_type in REFUSED:
        raise context.error(f"model_type={model_type!r}: {REFUSED[model_type]}")
    if model_type in tables()["without_rotary"]:
        raise context.error(_none(model_type, part))
    if not context.known:
        _check_unknown(context, part, layout)
    check_keys(context, part, tables()["similar_keys"])
    return replace(context, layer_types=layer_types(context))


def _check_unknown(context, part, layout):
    """Raises unless a model type that is not known can be read as one like Llama."""
    if layout is None:
        whose = "" if context.path else "the config's "  # the path names a part
        raise context.error(
            f"{whose}model_type={context.model_type!r} is not in the table of "
            "models with rotary positions, and may have none. Read its own code: if it "
            "is that of a model in the table, write that model_type; if it can differ "
            "from Llama only in the pairs of channels, pass layout='half' or "
            "'interleaved'"
        )
    for key in sorted(ROTARY - COMMON):
        if part.get(key) is not None:
            instead = STANDS_FOR.get(key)
            raise context.error(
                f"the config holds {key}={part[key]!r}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known"
                + (f"; if it is what the name says, write {instead}" if instead else "")
            )


def _none(model_type, part):
    """The message that a model type has no rotary positions."""
    message = f"model_type={model_type!r} has no rotary positions in transformers"
    if part.get("auto_map") is None:
        return message
    return f"{message}; auto_map names code of its own, which is not known"


def _known(model_type):
    """The defaults and the other names of the keys of one model type."""
    row = REMOTE.get(model_type)
    return row.known() if row else tables()["models"].get(model_type, {})
