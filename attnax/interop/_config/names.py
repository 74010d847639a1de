"""Keys that no code of Hugging Face reads: of other engines, and misspelt ones."""

from .misspelt import instead, misspelt
from .vocabulary import FOREIGN, ROTARY, STANDS_FOR, STRUCTURE, SWITCHES, UNCLEAR


def check_names(context, part, similar):
    """Raises if a key of `part` is a name of another engine, or misspelt.

    `similar` lists keys that look like misspelt ones, but that other code reads.
    """
    if not context.known:
        _check_unclear(context, part)
    for key, advice in FOREIGN.items():
        value = part.get(key)
        if value is not None and not _is_harmless(context, part, key, value):
            code = f"the code of model_type={context.model_type!r}"
            fate = (
                f"which {code} does not read"
                if context.known
                else f"and how {code} reads it is not known"
            )
            raise context.error(f"the config holds {key}={value!r}, {fate}: {advice}")
    _check_spelling(context, part, similar)


def _check_unclear(context, part):
    """Raises on a key that codes read in different ways."""
    for key in sorted(UNCLEAR):
        if part.get(key) is not None:
            raise context.error(
                f"the config holds {key}={part[key]!r}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known"
            )


def _is_harmless(context, part, key, value):
    """Whether a key of another engine is off, read, or repeats what is read."""
    family = context.family
    same = family.says.get(key), part.get(STANDS_FOR.get(key))
    off = value is False and key in SWITCHES
    return off or value in same or key in family.elsewhere


def _check_spelling(context, part, similar):
    """Raises if a key at the level of a model is nearly one that is read."""
    keys, family = context.keys, context.family
    known = {*ROTARY, *STRUCTURE, *FOREIGN, *similar}
    known |= {*keys.aliases, *keys.defaults, *family.elsewhere, *family.says}
    for key, value in part.items():
        if value is None or not isinstance(key, str) or key in known:
            continue
        meant = misspelt(key)
        if meant:
            raise context.error(f"the config holds {key}={value!r}; {instead(meant)}")
