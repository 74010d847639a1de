"""Names of keys that no code reads: of other engines, and misspelt ones."""

from .vocabulary import (
    ELSEWHERE,
    FOREIGN,
    INNER,
    RENAMED,
    STRUCTURE,
    SWITCHES,
    TOP_LEVEL,
    UNCLEAR,
)


def check_names(context, part, similar):
    """Raises if a key of `part` is a name of another engine, or misspelt.

    `similar` holds keys that other parts of models read, and that look like ours.
    """
    family = context.family
    for key in sorted(UNCLEAR) if not context.known else ():
        if part.get(key) is not None:
            raise context.error(
                f"the config holds {key}={part[key]!r}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known"
            )
    for key, instead in FOREIGN.items():
        value = part.get(key)
        same = family.says.get(key), part.get(RENAMED.get(key))
        off = value is False and key in SWITCHES
        if not (value is None or off or value in same or key in family.elsewhere):
            raise context.error(
                f"the config holds {key}={value!r}, which the code of "
                f"model_type={context.model_type!r} does not read: {instead}"
                if context.known
                else f"the config holds {key}={value!r}, and how the code of "
                f"model_type={context.model_type!r} reads it is not known: {instead}"
            )
    check_spelling(context, part, similar)


def check_spelling(context, part, similar):
    """Raises if a key at the level of a model is nearly one that is read."""
    keys, family = context.keys, context.family
    known = {*TOP_LEVEL, *STRUCTURE, *FOREIGN, *similar}
    known |= {*keys.aliases, *keys.defaults, *family.elsewhere, *family.says}
    for key, value in part.items():
        if value is None or not isinstance(key, str) or key in known:
            continue
        meant = misspelt(key)
        if meant:
            raise context.error(f"the config holds {key}={value!r}; {instead(meant)}")


def check_inner_spelling(context, params):
    """Raises if a key among the parameters of RoPE is nearly one that is read."""
    for key in params.values:
        if isinstance(key, str) and key not in INNER and key not in ELSEWHERE:
            meant = _nearest(key.lower(), INNER)
            if meant:
                raise context.error(f"{params.said(key)}; {instead((meant,))}")


def misspelt(key):
    """The keys that were meant, where `key` is nearly one of them; else nothing.

    Capital letters are no difference. Names that begin with an underscore are nobody's
    settings.
    """
    key = key.lower()
    if key.startswith("_"):
        return ()
    nearest = _nearest(key, TOP_LEVEL) or _nearest(key, STRUCTURE)
    if nearest:
        return (nearest,)
    speaks_of_it = key.startswith(("rope", "rotary"))
    return ("rope_theta", "rope_scaling", "rope_parameters") if speaks_of_it else ()


def instead(meant):
    """What to do about a key that stands for one of these."""
    if len(meant) == 1:
        return f"write {meant[0]}, if that is meant, or remove it"
    return f"no model that is known reads it; known are {', '.join(meant)} and others"


def _nearest(key, words):
    """The word that is fewest edits away, of those that are near enough."""
    found, letters = [], set(key)
    for word in sorted(words):
        limit = 2 if len(word) >= 8 else 1
        # An edit adds a letter and takes one away at most, and most words end here.
        near = len(letters.symmetric_difference(word)) <= 2 * limit
        if near and abs(len(word) - len(key)) <= limit:
            edits = _edits(key, word, limit)
            if edits <= limit:
                found.append((edits, word))
    return min(found)[1] if found else None


def _edits(one, other, limit):
    """Letters put in, left out, changed or swapped with the next; stops past `limit`.

    The distance of optimal string alignment.
    """
    before, row = [], list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        last, before, row = before, row, [i]
        for j, b in enumerate(other, 1):
            least = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == other[j - 2] and one[i - 2] == b:
                least = min(least, last[j - 2] + 1)
            row.append(least)
        if min(row) > limit and min(before) > limit:
            return limit + 1
    return row[-1]
