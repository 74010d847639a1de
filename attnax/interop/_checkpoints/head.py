"""Files of tied models that hold the head in place of the table.

A writer that keeps one of two equal tensors may keep either. `save_model` of
safetensors keeps the first in the order of the names, and `lm_head` comes before
`model`.
"""

from .._checkpoint_families.family import CheckpointFamily


def table_from_head(
    family: CheckpointFamily, names, tied: bool | None
) -> CheckpointFamily:
    """The family; if `tied`, the table may be missing and the head stands for it."""
    missing = held_head(family, names) is not None
    return with_head_as_table(family) if tied and missing else family


def held_head(family: CheckpointFamily, names) -> str | None:
    """The name of the head in a file without a table, or `None`."""
    tables = _names(family, "token")
    if any(_stands_in(table, name, family) for name in names for table in tables):
        return None
    heads = _names(family, "head")
    found = (n for n in names for head in heads if _stands_in(head, n, family))
    return next(found, None)


def with_head_as_table(family: CheckpointFamily) -> CheckpointFamily:
    """The family with the names of the head as those of the table."""
    table, heads = family.tensors[0], _names(family, "head")
    others = [t for t in family.tensors if t.role not in ("token", "head")]
    table = table._replace(names=heads, beside=True)
    # The first tensor tells the prefix, and a head stands outside of it.
    first = [t for t in others if t.role == "positions"]
    rest = [t for t in others if t.role != "positions"]
    return family._replace(tensors=(*first, table, *rest))


def is_head_alone(family: CheckpointFamily, stored) -> bool:
    """Whether the stored tensors have the table under names of the head only."""
    tables = [tensor.name for tensor in stored if tensor.role == "token"]
    heads = _names(family, "head")
    return bool(tables) and all(
        any(_stands_in(head, name, family) for head in heads) for name in tables
    )


def hint_of_head(family: CheckpointFamily, names, tied: bool | None) -> str:
    """The advice of a message if the table is missing and the head is there."""
    name = held_head(family, names)
    if name is None or tied is False:
        return ""
    return (
        f"; {name!r} is there, and is the table too if the model ties the two "
        "(tie_word_embeddings of its config): pass tied=True if it does"
    )


def _names(family, role):
    return tuple(name for tensor in family.held(role) for name in tensor.names)


def _stands_in(end, name, family):
    return name == end or name.endswith(family.separator + end)
