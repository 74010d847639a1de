"""Writes the tables of the documentation that list what `attnax.interop` knows.

    python -m conformance.pages

A table stands between `<!-- table of texts -->` and `<!-- end of table -->`; the first
comment names it. A test compares the pages with what this writes.
"""

import pathlib
import re
from collections.abc import Iterator

from attnax.interop._checkpoint_families.family import FRONT_TOKENS, Tensor
from attnax.interop._checkpoint_families.images import IMAGES
from attnax.interop._checkpoint_families.table import CHECKPOINT_FAMILIES
from attnax.interop._checkpoint_families.texts import TEXTS
from attnax.interop._checkpoint_families.tokens import TOKENS
from attnax.interop._config.families.table import (
    IN_TRANSFORMERS,
    KINDS,
    REFUSED,
    REMOTE,
)
from attnax.interop._model_types import by_name
from attnax.interop._options.resampling import RESAMPLINGS
from attnax.interop._position_biases.families.table import REFUSED as BIAS_REFUSED
from attnax.interop._position_biases.families.table import ROWS as BIAS_ROWS
from attnax.interop._position_biases.parts import tables as bias_tables

DOCS = pathlib.Path(__file__).parents[1] / "docs"
PAGES = (
    DOCS / "interop" / "biases.md",
    DOCS / "interop" / "checkpoints.md",
    DOCS / "interop" / "config.md",
    DOCS / "resizing" / "resizing.md",
)
BLOCK = re.compile(
    r"^(<!-- table of (\w+) -->\n).*?^<!-- end of table -->$", re.S | re.M
)


def written(page: pathlib.Path) -> str:
    """The text of a page with its tables written anew."""

    def block(match):
        start, table = match.groups()
        header, *rows = (f"| {' | '.join(row)} |" for row in TABLES[table]())
        line = "|---" * (header.count("|") - 1) + "|"
        return "\n".join((f"{start}\n{header}", line, *rows, "\n<!-- end of table -->"))

    return BLOCK.sub(block, page.read_text())


def _texts() -> Iterator[tuple[str, ...]]:
    yield "family", "models", "tables", "extra tensors", "head"
    for family in (*TEXTS, *TOKENS):
        tables = [
            t
            for role in ("token", "positions", "token_types")
            for t in family.held(role)
        ]
        heads = [_stem(name) for tensor in family.held("head") for name in tensor.names]
        tied = "tied" if family.tied else "by value"
        yield (
            f"`{family.name}`",
            family.models,
            ", ".join(map(_words, tables)),
            _extra_tensors(family),
            f"{_either(heads)}, {tied}" if heads else "",
        )


def _images() -> Iterator[tuple[str, ...]]:
    yield (
        "family",
        "models",
        "kernel and bias",
        "positions",
        "tokens in front",
        "mask token",
        "extra tensors",
    )
    for family in IMAGES:
        roles = {tensor.role: tensor for tensor in family.tensors}
        kernel = [roles[role] for role in ("patch", "bias") if role in roles]
        tokens = [roles[role] for role in FRONT_TOKENS if role in roles]
        yield (
            f"`{family.name}`",
            family.models,
            ", ".join(map(_words, kernel)),
            _words(roles["positions"]) if "positions" in roles else "none",
            _in_front(family, tokens),
            _words(roles["mask"]) if "mask" in roles else "",
            _extra_tensors(family),
        )


def _types() -> Iterator[tuple[str, ...]]:
    yield "family", "model types"
    for name, family in sorted(CHECKPOINT_FAMILIES.items()):
        if types := sorted(family.types.split(), key=str.lower):
            yield f"`{name}`", ", ".join(f"`{one}`" for one in types)


def _kinds() -> Iterator[tuple[str, ...]]:
    yield "models", f"{len(IN_TRANSFORMERS)} model types"
    for kind, rows in KINDS.items():
        names = sorted(by_name(rows), key=str.lower)
        yield kind, ", ".join(f"`{name}`" for name in names)


def _remote() -> Iterator[tuple[str, ...]]:
    yield f"{len(REMOTE)} model types", "their code"
    yield from ((f"`{name}`", row.source) for name, row in sorted(REMOTE.items()))


def _refused() -> Iterator[tuple[str, ...]]:
    yield f"{len(REFUSED)} model types", "reason"
    yield from ((f"`{name}`", reason) for name, reason in sorted(REFUSED.items()))


def _resampling() -> Iterator[tuple[str, ...]]:
    yield "method", "antialias", "align corners", "offset", "families"
    alike = {}
    for family, record in RESAMPLINGS.items():
        alike.setdefault(record, []).append(f"`{family}`")
    for record, families in alike.items():
        flags = record.antialias, record.align_corners
        antialias, corners = ("yes" if flag else "no" for flag in flags)
        yield (
            record.method,
            antialias,
            corners,
            f"{record.offset:g}",
            ", ".join(families),
        )


def _biases() -> Iterator[tuple[str, ...]]:
    yield "scheme", "model types", "parts", "inside", "otherwise in transformers"
    alike = {}
    for names, family in BIAS_ROWS:
        parts = ", ".join(f"`{stack}`" for stack in family.stacks)
        alike.setdefault((family.scheme, parts, family.note), []).extend(names.split())
    for (scheme, parts, note), names in alike.items():
        inside = {outer for name in names for outer in _around(name)}
        # A name with a dot is that of a part without a model type.
        types = {name.split(".")[0] for name in names}
        yield scheme, _listed(types), parts, _listed(inside - types), note


def _around(model_type):
    """The model types that hold a part of that model type, or hold such a part."""
    for outer, parts in bias_tables()["sub_configs"].items():
        if any(spec.get("model_type") == model_type for spec in parts.values()):
            yield from (outer, *_around(outer))


def _listed(names):
    return ", ".join(f"`{name}`" for name in sorted(names, key=str.lower))


def _biases_refused() -> Iterator[tuple[str, ...]]:
    yield "model type", "reason"
    yield from ((f"`{name}`", reason) for name, reason in sorted(BIAS_REFUSED.items()))


TABLES = {
    "biases": _biases,
    "biases_refused": _biases_refused,
    "texts": _texts,
    "images": _images,
    "types": _types,
    "kinds": _kinds,
    "remote": _remote,
    "refused": _refused,
    "resampling": _resampling,
}


def _words(tensor: Tensor) -> str:
    """The names of a tensor and its axes, in brackets where it may be absent."""
    axes = " or ".join(f"({', '.join(axes.split())})" for axes in tensor.axes)
    text = f"{_either(tensor.names)} {axes}"
    return text if tensor.required else f"[{text}]"


def _in_front(family, tokens):
    """The tokens in front of the patches, and which of them have no position."""
    if tokens and family.without_position is None:
        return ", ".join(map(_words, tokens)) + "; positions as the rows tell"
    without = family.without_position or ()
    return ", ".join(
        _words(token) + " without a position" * (token.role in without)
        for token in tokens
    )


def _extra_tensors(family):
    """The tensors that belong to the caller, except the bias of a head."""
    heads = {_stem(name) for tensor in family.held("head") for name in tensor.names}
    extra = family.held("extra")
    names = {tensor.names[0] for tensor in extra}
    shown = {}
    for tensor in extra:
        name, stem = tensor.names[0], _stem(tensor.names[0])
        if stem not in heads:
            both = {f"{stem}.weight", f"{stem}.bias"} <= names
            text = f"`{stem if both else name}`"
            shown[text] = text if tensor.required else f"[{text}]"
    return ", ".join(shown.values())


def _stem(name):
    return re.sub(r"\.(weight|bias)$", "", name)


def _either(names):
    return " or ".join(f"`{name}`" for name in names)


def main() -> None:
    for page in PAGES:
        page.write_text(written(page))


if __name__ == "__main__":
    main()
