"""Keys that are nearly those of the vocabulary."""

from .vocabulary import ELSEWHERE, INNER, ROTARY, STRUCTURE


def check_inner_spelling(context, params):
    """Raises if a key among the parameters of RoPE is nearly one that is read."""
    for key in params.values:
        if isinstance(key, str) and key not in INNER and key not in ELSEWHERE:
            meant = _nearest(key.lower(), INNER)
            if meant:
                raise context.error(f"{params.said(key)}; {instead((meant,))}")


def misspelt(key):
    """The keys that `key` may be meant for; empty if it is near none.

    Capital letters do not matter. A name that begins with an underscore is no setting.
    """
    key = key.lower()
    if key.startswith("_"):
        return ()
    nearest = _nearest(key, ROTARY) or _nearest(key, STRUCTURE)
    if nearest:
        return (nearest,)
    speaks_of_it = key.startswith(("rope", "rotary"))
    return ("rope_theta", "rope_scaling", "rope_parameters") if speaks_of_it else ()


def instead(meant):
    """The advice for a key that was meant for one of these."""
    if len(meant) == 1:
        return f"write {meant[0]}, if that is meant, or remove it"
    return f"no model that is known reads it; known are {', '.join(meant)} and others"


def _nearest(key, words):
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
