"""Sources of tensors: a mapping, a file, several files or their folder."""

import os
import pathlib
from collections.abc import Mapping
from contextlib import contextmanager

from ...._checks import type_of
from ..arrays import Arrays, check_names
from .index import Shards, path_inside
from .npz import Npz
from .regular import RegularFile, shown
from .safetensors import Safetensors

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


@contextmanager
def open_source(source, follow_links):
    """The tensors of `source`, which are read later, one at a time.

    Every kind of source has `names`, `describe(name)` for the shape and the name of the
    dtype, `read(name)` for the array, `read_own(name)` for an array that nobody else
    writes to, and `parts(name)` for the rows, some at a time.
    """
    if isinstance(source, Mapping):
        check_names("source", source)
        yield Arrays(source)
        return
    path, target = _find(source, follow_links)
    with RegularFile(path, target) as file:
        if path.suffix == ".json":
            with Shards(file, follow_links) as tensors:
                yield tensors
                tensors.check_unchanged()
        else:
            tensors = Npz(file) if path.suffix == ".npz" else Safetensors(file)
            yield tensors
            file.check_unchanged()


def _find(source, follow_links):
    """The path of a file that can be read, and the path that it leads to."""
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"source is {type_of(source)}, but must be a mapping of arrays or a path."
        )
    path = pathlib.Path(source)
    if not os.path.exists(path):  # False for a path with a null character too
        raise ValueError(f"source={shown(path)} does not exist.")
    if path.is_dir():
        for name in SINGLE, INDEX:
            if os.path.lexists(path / name):
                return path_inside(path, name, follow_links)
    elif path.suffix in (".json", ".npz", ".safetensors"):
        return path, path
    raise ValueError(
        f"source={shown(path)} must be a .safetensors or .npz file, "
        f"{INDEX}, or a folder with one of {SINGLE} and {INDEX}."
    )
