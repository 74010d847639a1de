"""`.npz` files, whose arrays are unpacked when they are read."""

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from ..arrays import dtype_name, rows_at_a_time
from .regular import RegularFile, shown

_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
_PIECE = 2**20  # bytes that are unpacked at a time


class Header(NamedTuple):
    """The header of an array, which stands in front of its numbers."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype


class Npz:
    """The arrays of an open `.npz` file by name."""

    def __init__(self, file: RegularFile):
        self.file = file
        try:
            self.archive = zipfile.ZipFile(file.raw)
            self.members = _members(self.archive.infolist())
        except Exception as error:  # zipfile raises many kinds
            raise ValueError(
                f"{shown(file.path)} must be a whole .npz file: {error}."
            ) from error
        self.headers = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.members)

    def describe(self, key):
        header = self._header(key)
        return header.shape, dtype_name(header.dtype)

    def read(self, key) -> np.ndarray:
        with self._open(key) as (stream, header):
            numbers, filled = np.empty(math.prod(header.shape), header.dtype), 0
            for piece in _pieces(stream, header, _PIECE // header.dtype.itemsize):
                numbers[filled : filled + len(piece)] = piece
                filled += len(piece)
        return numbers.reshape(header.shape, order="F" if header.fortran else "C")

    def read_own(self, key):
        return self.read(key)

    def parts(self, key) -> Iterator[np.ndarray]:
        """The rows in order, some at a time."""
        header = self._header(key)
        rows, row = header.shape[0], math.prod(header.shape[1:])
        step = rows_at_a_time(rows, rows * row * header.dtype.itemsize)
        if header.fortran:  # the rows are interleaved in the file
            array = self.read(key)
            yield from (array[start : start + step] for start in range(0, rows, step))
            return
        with self._open(key) as (stream, _):
            for piece in _pieces(stream, header, step * row):
                yield piece.reshape(-1, *header.shape[1:])

    def check_unchanged(self):
        self.file.check_unchanged()

    def _header(self, key):
        if key not in self.headers:
            with self._open(key) as (_, header):
                self.headers[key] = header
        return self.headers[key]

    @contextmanager
    def _open(self, key):
        """The stream of an array after its header, and the header."""
        try:
            member = self.members[key]
            with self.archive.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                if version not in _HEADERS:
                    raise ValueError(
                        f"the version {version} of its header is not known"
                    )
                header = Header(*_HEADERS[version](stream))
                if header.dtype.hasobject:
                    raise ValueError("it holds Python objects")
                size = math.prod(header.shape) * header.dtype.itemsize
                if stream.tell() + size != member.file_size:
                    raise ValueError(f"{size} bytes must follow its header")
                yield stream, header
        except Exception as error:  # zipfile and NumPy raise many kinds
            self.file.check_unchanged()
            raise ValueError(
                f"{key!r} of {shown(self.file.path)} must be an "
                f"array, but cannot be read: {error}."
            ) from error


def _pieces(stream, header, length):
    """The numbers in the order of the file, `length` at a time.

    zipfile compares the checksum at the end of a member.
    """
    left, size = math.prod(header.shape), header.dtype.itemsize
    while left:
        count = min(max(1, length), left)
        content = stream.read(count * size)
        if len(content) != count * size:
            raise ValueError("it ends too early")
        yield np.frombuffer(content, header.dtype)
        left -= count


def _members(found):
    """The members by the names that `numpy.savez` was given."""
    members = {}
    for member in found:
        name = member.filename.removesuffix(".npy")
        if name in members:
            raise ValueError(f"it has {name!r} twice")
        members[name] = member
    return members
