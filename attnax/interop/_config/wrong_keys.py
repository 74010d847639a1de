"""Keys that no code of Hugging Face reads: of other engines, and misspelt ones."""

from .vocabulary import (
    ELSEWHERE,
    FOREIGN,
    INNER,
    ROTARY,
    STANDS_FOR,
    STRUCTURE,
    SWITCHES,
    UNCLEAR,
)


def check_keys(context, part, similar):
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


def check_inner_spelling(context, params):
    """Raises if a key among the parameters of RoPE is nearly one that is read."""
    for key in params.values:
        if isinstance(key, str) and key not in INNER and key not in ELSEWHERE:
            meant = nearest(key.lower(), INNER)
            if meant:
                raise context.error(f"{params.said(key)}; {instead((meant,))}")


def misspelt(key):
    """The keys that `key` may be meant for; empty if it is near none.

    Capital letters do not matter. A name that begins with an underscore is no setting.
    """
    key = key.lower()
    if key.startswith("_"):
        return ()
    near = nearest(key, ROTARY) or nearest(key, STRUCTURE)
    if near:
        return (near,)
    speaks_of_it = key.startswith(("rope", "rotary"))
    return ("rope_theta", "rope_scaling", "rope_parameters") if speaks_of_it else ()


def instead(meant):
    """The advice for a key that was meant for one of these."""
    if len(meant) == 1:
        return f"write {meant[0]}, if that is meant, or remove it"
    return f"no model that is known reads it; known are {', '.join(meant)} and others"


def nearest(key, words):
    """The word with the fewest edits from `key`, or `None` if all need too many."""
    found, letters = [], set(key)
    for word in sorted(words):
        limit = 2 if len(word) >= 8 else 1
        # An edit adds and removes at most one letter. Most words fail this quick test.
        near = len(letters.symmetric_difference(word)) <= 2 * limit
        if near and abs(len(word) - len(key)) <= limit:
            edits = _edits(key, word, limit)
            if edits <= limit:
                found.append((edits, word))
    return min(found)[1] if found else None


def _edits(one, other, limit):
    """The number of edits from one word to the other; stops counting past `limit`.

    An edit inserts, removes or changes a letter, or swaps two neighbors (the distance
    of optimal string alignment).
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
