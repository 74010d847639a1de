"""Keys that no code of Hugging Face reads: of other engines, and misspelt ones."""

from .misspelt import instead, misspelt
from .vocabulary import FOREIGN, ROTARY, STANDS_FOR, STRUCTURE, SWITCHES, UNCLEAR


def check_names(context, part, similar):
    """Raises if a key of `part` is a name of another engine, or misspelt.

    `similar` lists keys that look like misspelt ones, but that other code reads.
    """
    family = context.family
    for key in sorted(UNCLEAR) if not context.known else ():
        if part.get(key) is not None:
            raise context.error(
                f"the config holds {key}={part[key]!r}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known"
            )
    for key, advice in FOREIGN.items():
        value = part.get(key)
        same = family.says.get(key), part.get(STANDS_FOR.get(key))
        off = value is False and key in SWITCHES
        if not (value is None or off or value in same or key in family.elsewhere):
            raise context.error(
                f"the config holds {key}={value!r}, which the code of "
                f"model_type={context.model_type!r} does not read: {advice}"
                if context.known
                else f"the config holds {key}={value!r}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known: {advice}"
            )
    check_spelling(context, part, similar)


def check_spelling(context, part, similar):
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
