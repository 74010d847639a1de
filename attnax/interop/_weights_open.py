"""What a source of tensors is: a mapping, a file, several files or their folder."""

import json
import os
import pathlib
from collections.abc import Mapping
from contextlib import contextmanager

import numpy as np

from ._weights_source import Arrays, Files, open_safetensors

INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"


@contextmanager
def open_source(function, source):
    """The tensors of `source` by name, none of them read yet."""
    if isinstance(source, Mapping):
        strange = next((name for name in source if not isinstance(name, str)), None)
        if strange is not None:
            raise ValueError(f"{function}: {strange!r} must be a name, a string.")
        yield Arrays(function, source)
        return
    if not isinstance(source, str | os.PathLike):
        raise ValueError(
            f"{function}: source={type(source).__qualname__} must be a mapping of "
            "arrays or a path."
        )
    path = pathlib.Path(source)
    if not path.exists():
        raise ValueError(f"{function}: source={str(path)!r} does not exist.")
    if path.is_dir():
        path = next((path / n for n in (SINGLE, INDEX) if (path / n).exists()), path)
    if path.suffix == ".npz":
        with _open_npz(function, path) as arrays:
            yield Arrays(function, arrays, path)
    elif path.suffix == ".json":
        yield _open_shards(function, path)
    elif path.suffix == ".safetensors":
        with open_safetensors(function, path) as file:
            files = Files(function, dict.fromkeys(file.keys(), path))
        yield files
    else:
        raise ValueError(
            f"{function}: source={str(path)!r} must be a .safetensors or .npz file, an "
            f"{INDEX}, or a folder with {SINGLE} or that."
        )


@contextmanager
def _open_npz(function, path):
    # Opened here: NumPy leaves a file open that is not what it should be.
    with path.open("rb") as file:
        try:
            arrays, error = np.load(file, allow_pickle=False), "it holds one array"
        except Exception as caught:  # of the many that zipfile and NumPy raise
            arrays, error = None, caught
        if not isinstance(arrays, np.lib.npyio.NpzFile):
            raise ValueError(
                f"{function}: {str(path)!r} must be a whole .npz file: {error}."
            )
        with arrays:
            yield arrays


def _open_shards(function, path):
    try:
        shards = json.loads(path.read_text())["weight_map"]
        files = {name: path.parent / file for name, file in shards.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{function}: {str(path)!r} must hold the index of shards, a `weight_map` "
            "of names to files."
        ) from error
    # Those that are there: of a large model, one may have fetched only some.
    for file in sorted({file for file in files.values() if file.exists()}):
        with open_safetensors(function, file) as shard:
            missed = [name for name in shard.keys() if name not in files]
        if missed:
            raise ValueError(
                f"{function}: {missed[0]!r} of {file.name!r} must be in {path.name!r}, "
                "the index."
            )
    return Files(function, files)
