"""Checkpoints in shards: the index of names, and where the files may lie."""

import os
import pathlib
import re
from contextlib import ExitStack

from .regular import RegularFile, shown, unopened
from .safetensors import MAX_HEADER_BYTES, Safetensors
from .strict_json import parse

# Hugging Face's cache has folders models--owner--name/snapshots/<commit>, whose files
# are links to models--owner--name/blobs.
_REPOSITORY = re.compile(r"(models|datasets|spaces|kernels)--.+")


class Shards:
    """The tensors of a checkpoint in shards by name."""

    def __init__(self, index: RegularFile, follow_links: bool):
        self.index = index
        self.weight_map = _weight_map(index)
        folder = index.path.parent
        self.paths = {
            file: path_inside(folder, file, follow_links)
            for file in dict.fromkeys(self.weight_map.values())
        }
        # A large checkpoint has more shards than a process may have files open.
        self.identities = {}
        for file, (_, target) in self.paths.items():
            if os.path.exists(target):  # a user may have fetched only some shards
                with self._open(file) as opened:
                    self._check_named(file, Safetensors(opened))
                    self.identities[file] = opened.identity
        self.opened, self.stack = {}, ExitStack()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.weight_map)

    def describe(self, key):
        return self._of(key).describe(key)

    def read(self, key):
        return self._of(key).read(key)

    def read_own(self, key):
        return self._of(key).read_own(key)

    def parts(self, key):
        return self._of(key).parts(key)

    def check_unchanged(self):
        self.index.check_unchanged()
        for shard in self.opened.values():
            shard.check_unchanged()

    def _of(self, key):
        """The shard of a tensor; it stays open once it has been used."""
        file = self.weight_map[key]
        if file not in self.opened:
            opened = self.stack.enter_context(self._open(file))
            if opened.identity != self.identities.get(file):
                raise ValueError(
                    f"{shown(opened.path)} was replaced while the "
                    "checkpoint was read; read it again."
                )
            self.opened[file] = Safetensors(opened)
        if key not in self.opened[file].places:
            raise ValueError(f"{key!r} must be in {file!r}, as the index says.")
        return self.opened[file]

    def _open(self, file):
        return RegularFile(*self.paths[file])

    def _check_named(self, file, shard):
        missed = [name for name in shard.names if name not in self.weight_map]
        if missed:
            raise ValueError(
                f"{missed[0]!r} of {file!r} must be in "
                f"{self.index.path.name!r}, the index."
            )


def path_inside(
    folder: pathlib.Path, file: str, follow_links: bool
) -> tuple[pathlib.Path, pathlib.Path]:
    """The path of a file that a checkpoint names, and the path that it leads to.

    Symbolic links are resolved, and must lead to the folder of the checkpoint or, in
    Hugging Face's cache, to the blobs of the same repository. With `follow_links` they
    may lead anywhere.
    """
    parts = re.split(r"[/\\]", file)
    windows = pathlib.PureWindowsPath(file).anchor  # a drive, or the root
    if not file or "\0" in file or ".." in parts or os.path.isabs(file) or windows:
        raise ValueError(
            f"the file {shown(file)} must be a path inside the folder of its index."
        )
    path = folder / file
    if follow_links:
        return path, path
    try:
        target = pathlib.Path(os.path.realpath(path))
        inside = any(target.is_relative_to(root) for root in _roots(folder))
    except (OSError, ValueError) as error:  # the path is too long or no text
        raise unopened(path, error) from error
    if not inside:
        raise ValueError(
            f"{shown(path)} leads to {shown(target)}, outside of its "
            "folder; pass follow_links=True if you trust the checkpoint."
        )
    return path, target


def _roots(folder):
    """The resolved folders in which the files of a checkpoint may lie."""
    yield os.path.realpath(folder)
    for given in folder.absolute(), pathlib.Path(os.path.realpath(folder)):
        for commit in given, *given.parents:
            repository = commit.parent.parent
            cached = _REPOSITORY.fullmatch(repository.name)
            if commit.parent.name == "snapshots" and cached:
                yield os.path.realpath(commit)
                # Not resolved: a link with the name of the blobs may lead anywhere.
                yield os.path.join(os.path.realpath(repository), "blobs")


def _weight_map(index):
    content = bytearray(min(index.size, MAX_HEADER_BYTES))
    index.read(0, content)
    try:
        if index.size > MAX_HEADER_BYTES:
            raise ValueError(f"it has {index.size} bytes")
        found = parse(bytes(content)).get("weight_map")
        if not isinstance(found, dict):
            raise ValueError("it has no `weight_map`")
        strange = [file for file in found.values() if not isinstance(file, str)]
        if strange:
            raise ValueError(f"{strange[0]!r} is not the name of a file")
    except ValueError as error:
        raise ValueError(
            f"{shown(index.path)} must hold the index of shards, a "
            f"`weight_map` of names to files: {error}."
        ) from error
    return found
