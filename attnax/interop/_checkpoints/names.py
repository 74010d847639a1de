"""The tensors of a file that belong to an embedding: prefix, names and shapes."""

from typing import NamedTuple

from .._checkpoint_families.family import CheckpointFamily
from .arrays import check_float
from .others import check_no_others

# The file of a model without registers may hold an array of no rows.
MAY_BE_ZERO = "num_registers"


class StoredTensor(NamedTuple):
    """The role of a tensor, its name in the file, and the names of its axes."""

    role: str
    name: str
    axes: str


def find_prefix(family: CheckpointFamily, names, prefix, hint=""):
    """The prefix of the names of the family, which ends with its separator.

    `hint` ends the message if no name of the family is there.
    """
    separator = family.separator
    if prefix is not None:
        return whole_prefix(family, prefix)
    anchors = family.tensors[0].names
    found = {
        name.removesuffix(anchor)
        for name in names
        for anchor in anchors
        if name == anchor or name.endswith(separator + anchor)
    }
    if len(found) == 1:
        return found.pop()
    looked_for = " or ".join(repr(anchor) for anchor in anchors)
    if not found:
        raise ValueError(
            f"{looked_for} must be in source, alone or after a prefix; the "
            f"first of {len(names)} names is {next(iter(names), None)!r}{hint}."
        )
    raise ValueError(
        f"{looked_for} must be in source once, but stands after each of "
        f"prefix={sorted(found)}; pass one of them."
    )


def whole_prefix(family: CheckpointFamily, prefix):
    """`prefix` with its separator, which the caller may have left out."""
    whole = prefix == "" or prefix.endswith(family.separator)
    return prefix if whole else prefix + family.separator


def find_tensors(family: CheckpointFamily, source, prefix, sizes, hint=""):
    """The tensors of the embedding in the order of the family; adds to `sizes`.

    `hint` ends the message if a tensor is missing.
    """
    names, layout = set(source.names), []
    for tensor in family.tensors:
        places = _parts(prefix, family.separator) if tensor.beside else [prefix]
        wanted = [place + name for place in places for name in tensor.names]
        found = [name for name in wanted if name in names]
        if not found and tensor.required:
            shape = shape_of(tensor.axes[0], sizes)
            raise ValueError(
                f"{' or '.join(map(repr, wanted))} must be there, of shape "
                f"{shape}{_after(prefix)}{hint}."
            )
        if len(found) > 1 and not tensor.copies:
            raise ValueError(f"only one of {found} must be there.")
        for name in found:
            shape, dtype = source.describe(name)
            check_float(name, dtype)
            axes = axes_of(tensor.axes, shape)
            bind(name, shape, axes, sizes)
            layout.append(StoredTensor(tensor.role, name, axes))
        if tensor.role == "head":  # a tied head has the rows of the table
            sizes.setdefault("head_size", sizes["vocab_size"])
    known = {stored.name for stored in layout}
    check_no_others(family, source, prefix, known)
    return tuple(layout)


def bind(tensor, shape, axes, sizes):
    """Checks the shape of a tensor against known sizes, and adds those that are new."""
    names = axes.split()
    lengths = [int(n) if n.isdigit() else sizes.get(n) for n in names]
    if len(shape) != len(names) or any(
        length not in (None, size) for length, size in zip(lengths, shape, strict=False)
    ):
        wanted = shape_of(axes, sizes)
        raise ValueError(
            f"{tensor!r} of shape {tuple(shape)} must have shape {wanted}."
        )
    pairs = list(zip(names, shape, strict=True))
    if any(size == 0 and axis != MAY_BE_ZERO for axis, size in pairs):
        raise ValueError(
            f"{tensor!r} of shape {tuple(shape)} must have no axis of length 0."
        )
    sizes.update((axis, size) for axis, size in pairs if not axis.isdigit())


def pair_of(sizes, first, second) -> tuple[int, int] | None:
    """Two lengths of axes, or `None` where they are not known."""
    return (sizes[first], sizes[second]) if first in sizes else None


def shape_of(axes, sizes):
    """A shape in words, with numbers for the axes whose length is known."""
    lengths = [str(sizes.get(name, name)) for name in axes.split()]
    return f"({', '.join(lengths)}{',' * (len(lengths) == 1)})"


def axes_of(alternatives, shape):
    """The first alternative with as many axes as `shape`, or the first of all."""
    fits = (axes for axes in alternatives if len(axes.split()) == len(shape))
    return next(fits, alternatives[0])


def _after(prefix):
    return f", with {prefix=}" if prefix else ""


def _parts(prefix, separator):
    """The prefix and its beginnings: `["a.b.", "a.", ""]` of `"a.b."`."""
    parts = prefix.split(separator)[:-1]
    return [
        "".join(part + separator for part in parts[:end])
        for end in range(len(parts), -1, -1)
    ]
