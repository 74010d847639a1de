"""The tensors of a file that belong to an embedding: prefix, names and shapes."""

from typing import NamedTuple

from .._checkpoint_families.family import CheckpointFamily
from .arrays import check_float

# The file of a model without registers may hold an array of no rows.
MAY_BE_ZERO = "num_registers"
# Old versions saved these buffers among the weights. They are computed, not learned.
BUFFERS = ("position_ids", "token_type_ids", "inv_freq")

# Names that models give to parts of their embeddings. One that is not a family's, right
# after the prefix of that family, shows that the file has another family, or a part
# that would be missed.
EMBEDDINGS = frozenset(
    "class_embedding class_token cls_token dist_token distillation_token embed_in "
    "embed_positions embed_tokens embed_tokens_per_layer embeddings embeddings_project "
    "embeds layernorm_embedding mask_token norm_pre patch_embed patch_embedding "
    "patch_embeddings pos_embed position_embedding position_embeddings "
    "positional_embedding pre_layrnorm project_in project_out reg_token "
    "register_tokens shared storage_tokens tok_embeddings token_embedding "
    "token_type_embeddings word_embeddings word_embeddings_layernorm wpe wte".split()
)


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
        return whole_prefix(prefix, separator)
    anchors = family.tensors[0].names
    return only_prefix(
        prefixes_of(anchors, names, separator), anchors, names, hint=hint
    )


def prefixes_of(anchors, names, separator):
    """Every prefix after which one of the anchors stands."""
    return {
        name.removesuffix(anchor)
        for name in names
        for anchor in anchors
        if name == anchor or name.endswith(separator + anchor)
    }


def only_prefix(found, anchors, names, hint=""):
    """The one prefix that was found for the anchors.

    `hint` ends the message if none was found.
    """
    if len(found) == 1:
        return next(iter(found))
    looked_for = " or ".join(map(repr, anchors))
    if not found:
        first = (
            f"the first of {len(names)} names is {names[0]!r}"
            if names
            else "source holds no tensors"
        )
        raise ValueError(
            f"{looked_for} must be in source, alone or after a prefix; {first}{hint}."
        )
    raise ValueError(
        f"{looked_for} must be in source once, but stands after each of "
        f"prefix={sorted(found)}; pass one of them."
    )


def whole_prefix(prefix, separator="."):
    """`prefix` with its separator, which the caller may have left out."""
    whole = prefix == "" or prefix.endswith(separator)
    return prefix if whole else prefix + separator


def find_tensors(family: CheckpointFamily, source, prefix, sizes, hint=""):
    """The tensors of the embedding in the order of the family; adds to `sizes`.

    `hint` ends the message if a tensor is missing.
    """
    names, stored = set(source.names), []
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
            stored.append(StoredTensor(tensor.role, name, axes))
        if tensor.role == "head":  # a tied head has the rows of the table
            sizes.setdefault("head_size", sizes["vocab_size"])
    known = {tensor.name for tensor in stored}
    _check_no_others(family, source, prefix, known)
    return tuple(stored)


def _check_no_others(family: CheckpointFamily, source, prefix, known):
    """A `ValueError` if the file has a part of an embedding beyond the `known`."""
    for tensor in source.names:
        if tensor in known or not tensor.startswith(prefix):
            continue
        own = tensor.removeprefix(prefix)
        parts = own.split(family.separator)
        embeds = own.startswith(family.namespaces) or parts[0] in EMBEDDINGS
        if embeds and parts[-1] not in BUFFERS:
            shape, _ = source.describe(tensor)
            raise ValueError(
                f"{tensor!r} of shape {shape} must not be there; the family "
                f"has {sorted(known)}."
            )


def bind(tensor, shape, axes, sizes):
    """Checks the shape of a tensor against known sizes, and adds those that are new."""
    names = axes.split()
    lengths = [int(n) if n.isdigit() else sizes.get(n) for n in names]
    check_shape(tensor, shape, lengths, names)
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
    return _in_words([str(sizes.get(name, name)) for name in axes.split()])


def check_shape(tensor, shape, lengths, names=(), hint=""):
    """Raises unless a shape has these lengths; `None` is any length.

    `names` are those of the axes, and `hint` ends the message.
    """
    if len(shape) == len(lengths) and all(
        length in (None, size) for length, size in zip(lengths, shape, strict=True)
    ):
        return
    names = names or ("any",) * len(lengths)
    words = [
        name if length is None or name.isdigit() else str(length)
        for length, name in zip(lengths, names, strict=True)
    ]
    raise ValueError(
        f"{tensor!r} of shape {tuple(shape)} must have shape {_in_words(words)}{hint}."
    )


def _in_words(lengths):
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
