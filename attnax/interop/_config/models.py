"""Whose code reads a part of a config, and whether it reads all of it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .chosen_part import find_part
from .families.remote import REMOTE
from .families.table import FAMILIES, REFUSED, UNKNOWN
from .family import Family
from .keys import Keys
from .layers import layer_types
from .names import check_names
from .parts import part_error, tables
from .schemas import without_repetition
from .values import shortened
from .vocabulary import ELSEWHERE, TOP_LEVEL

# Keys of a model that is not known: those that all models read alike or that tell the
# layout, and what to write in place of some of the others.
_COMMON = frozenset(
    """
    rope_parameters rope_scaling rope_theta rope_type partial_rotary_factor
    rope_interleave rope_interleaved
    """.split()
)
_INSTEAD = {
    "rotary_dim": "partial_rotary_factor = rotary_dim / head_dim",
    "rotary_pct": "partial_rotary_factor",
    "rotary_emb_base": "rope_theta",
    "qk_rope_head_dim": "head_dim, which is the width that rotates",
}


@dataclass(frozen=True)
class Context:
    """A model's part of a config, with the rules that read it.

    Attributes:
        path: Keys from the whole config to this part.
        model_type: As the config or the model around it says.
        family: The rules of the model type.
        keys: This part, remembering what was read.
        layer_types: One name per layer; none where their number is not known.
    """

    path: tuple[str, ...]
    model_type: str | None
    family: Family
    keys: Keys
    layer_types: Sequence[str] = ()

    @property
    def known(self):
        """Whether the model type is in the tables."""
        return self.family is not UNKNOWN

    def error(self, message):
        """A `ValueError` that says where in the config."""
        return part_error(self.path, shortened(message))

    def params(self, values, where):
        """Parameters of RoPE, whose errors are those of this part."""
        return Keys(values, where, error=self.error)

    def changes(self):
        """What single layers change, by index."""
        return self.family.overrides(self, self.layer_types)

    def changed(self, values):
        """The context of a layer that changes these values."""
        return replace(self, keys=self.keys.changed(**values)) if values else self

    def at(self, index):
        """The context of one layer, with what it changes."""
        return self.changed(self.changes().get(index, {}))


def find(config, part, layout):
    """The context of the part of `config` that is named, or of its language model."""
    path, model_type, values = find_part(config, part)
    return _context(path, model_type, values, layout)


def _context(path, model_type, part, layout):
    family = FAMILIES.get(model_type, UNKNOWN)
    known = _known(model_type)
    aliases = known.get("aliases", {})
    error = lambda message: part_error(path, shortened(message))
    keys = Keys(without_repetition(part), "the config", known, aliases, error)
    context = Context(path, model_type, family, keys)
    if family.variant is not None and (other := family.variant(keys)) is not None:
        family, context = other, replace(context, family=other)
    if model_type in REFUSED:
        raise context.error(f"model_type={model_type!r}: {REFUSED[model_type]}")
    if model_type in tables()["without_rotary"]:
        raise context.error(_none(model_type, part))
    if family is UNKNOWN and layout is None:
        raise context.error(
            f"model_type={model_type!r} is not in the table of models with rotary "
            "positions, and may have none. Read its own code: if it is that of a "
            "model in the table, write that model_type; if it can differ from Llama "
            "only in the pairs of channels, pass layout='half' or 'interleaved'"
        )
    for key in sorted(TOP_LEVEL - _COMMON) if family is UNKNOWN else ():
        if part.get(key) is not None:
            instead = _INSTEAD.get(key)
            raise context.error(
                f"the config holds {key}={part[key]!r}, and how the code of "
                f"model_type={model_type!r} reads it is not known"
                + (f"; if it is what the name says, write {instead}" if instead else "")
            )
    check_names(context, part, tables()["similar_keys"])
    return replace(context, layer_types=layer_types(context))


def _none(model_type, part):
    """The message that a model type has no rotary positions."""
    message = f"model_type={model_type!r} has no rotary positions in transformers"
    if part.get("auto_map") is None:
        return message
    return f"{message}; auto_map names code of its own, which is not known"


def _known(model_type):
    """The defaults of the keys of one model type, and the other names of these."""
    row = REMOTE.get(model_type)
    return row.known() if row else tables()["models"].get(model_type, {})


def check_all_read(context, params, rope):
    """Keys of the vocabulary that nobody has read are an error, not a default.

    One that says what `rope` is anyway does no harm.
    """
    keys, family = context.keys, context.family
    known = {*ELSEWHERE, *family.elsewhere}
    for key in params.unread():
        value = params.values[key]
        if str(key).startswith("mrope"):
            raise context.error(
                f"{params.said(key)}, but positions of model_type="
                f"{context.model_type!r} have one axis; of models that are else like "
                "Llama, 'qwen2_5_vl_text' has several in sections, and 'qwen3_vl_text' "
                "in turn"
            )
        if key not in known and not _agrees(context, params, rope, key, value):
            raise context.error(
                f"{params.said(key)}, which the rotary embedding of "
                f"model_type={context.model_type!r} does not read; remove it, or check "
                "rope_type"
                if context.known
                else f"{params.said(key)}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known"
            )
    for key in keys.unread():
        if key not in TOP_LEVEL or key in known:
            continue
        if not _agrees(context, params, rope, key, keys.values[key]):
            raise context.error(
                f"the config holds {key}={keys.values[key]!r}, which the rotary "
                f"embedding of model_type={context.model_type!r} does not read; remove "
                "it"
            )


def _agrees(context, params, rope, key, value):
    """Whether an unread key says what the rope is, or what every such config says."""
    width = 2 * rope.rotary_pairs
    if value == context.keys.defaults.get(key):
        return True
    if key == "rotary_dim":
        return value == width
    if key == "qk_rope_head_dim":  # no latent part, where there is none
        return value == 0
    if key in ("partial_rotary_factor", "rotary_pct"):
        whole = context.family.head_dim(context)
        return value in (width / whole, width / context.keys.get("head_dim", whole))
    if key in ("rope_theta", "rotary_emb_base"):
        return value == params.values.get("rope_theta")
    if key in ("rope_interleave", "rope_interleaved"):
        return value == (rope.layout in ("interleaved", "interleaved_to_half"))
    return False
