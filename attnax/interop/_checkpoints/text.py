"""Parameters of text embeddings from the tensors of a file, and back."""

import numpy as np

import attnax.functional as F

from .arrays import same_bits, to_jax
from .names import bind


def read_text(family, source, stored, tied):
    """Returns parameters, a head of its own or `None`, and the stored tensors.

    Among these, a tied head has the role of the token table.
    """
    shapes = {s.name: source.describe(s.name)[0] for s in stored}
    _check_width(stored, shapes, is_projected(shapes))
    first, *others = (s for s in stored if s.role == "token")
    table = source.read(first.name)
    for copy in others:
        if not same_bits(source, copy.name, table):
            raise ValueError(
                f"{_words(source, copy.name)} must equal "
                f"{_words(source, first.name)}, bit for bit."
            )
    found = next((s for s in stored if s.role == "head"), None)
    if found is None and tied is False:
        raise ValueError(f"a head must be there for {tied=}.")
    tie = family.tied if tied is None else tied
    if found is not None and _is_tied(source, found, first, table, tie):
        marked = found._replace(role="token")
        stored = tuple(marked if s is found else s for s in stored)
    token = F.TokenEmbeddingParams(to_jax(source, table))
    del table
    names = {s.role: s.name for s in stored}

    def read(role, make):
        return make(to_jax(source, source.read(names[role]))) if role in names else None

    head = read("head", F.TokenEmbeddingParams)
    if family.kind == "token":
        return token, head, stored
    positions = read("positions", F.LearnedPositionalEmbeddingParams)
    types = read("token_types", F.TokenEmbeddingParams)
    return F.TextEmbeddingParams(token, positions, types), head, stored


def _is_tied(source, head, first, table, tied):
    """Whether the head in a file equals the table; raises if it must and does not."""
    if tied is False:
        return False
    equal = same_bits(source, head.name, table)
    if not equal and tied:
        raise ValueError(
            f"{_words(source, head.name)} must equal the token table "
            f"{_words(source, first.name)}, bit for bit, for a tied head; pass "
            "tied=False if the model has a head of its own."
        )
    return equal


def _words(source, name):
    shape, dtype = source.describe(name)
    return f"{name!r} of shape {shape} and dtype {dtype}"


def write_text(params, head, stored, *, projected):
    """The stored tensors by name, as NumPy arrays."""
    if isinstance(params, F.TokenEmbeddingParams):
        params = F.TextEmbeddingParams(params, None, None)
    tables = {**params._asdict(), "head": head}
    tensors, sizes = {}, {}
    for role, name, axes in stored:
        if role in tables and tables[role] is not None:
            tensors[name] = np.asarray(tables[role].weight)
            bind(name, tensors[name].shape, axes, sizes)
    shapes = {name: array.shape for name, array in tensors.items()}
    _check_width(stored, shapes, projected)
    return tensors


def is_projected(names):
    """Whether tokens are projected before positions are added, as in a small OPT."""
    ends = "project_in.weight", "project_out.weight"
    both = [next((n for n in names if n.endswith(end)), None) for end in ends]
    if both.count(None) == 1:
        one = both[0] or both[1]
        raise ValueError(f"{one!r} must come with a {ends[both.index(None)]}.")
    return None not in both


def _check_width(stored, shapes, projected):
    """A `ValueError` for tokens and positions of two widths without a projection."""
    token = next(s for s in stored if s.role == "token")
    positions = next((s for s in stored if s.role == "positions"), None)
    if positions is None or projected:
        return
    shape, width = shapes[token.name], shapes[positions.name][1]
    if shape[1] != width:
        raise ValueError(
            f"{token.name!r} of shape {shape} must have shape "
            f"({shape[0]}, {width}), without a project_in.weight."
        )
