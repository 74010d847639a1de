"""Safetensors files: the tensors that they hold, and where.

A file is eight bytes with the length of the header, the header in JSON, and the bytes
of the tensors. https://github.com/huggingface/safetensors
"""

import math
import sys
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from ..arrays import rows_at_a_time
from .regular import RegularFile, shown
from .strict_json import parse

# The format's own code refuses larger headers too.
MAX_HEADER_BYTES = 100_000_000
DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}
_BITS = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8},
    **{"U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32},
    **{"U64": 64, "I64": 64, "F64": 64, "C64": 64},
    **{"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6},
}


class Place(NamedTuple):
    """A tensor by its header. Its bytes begin at byte `start` of the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


class Safetensors:
    """The tensors of an open file by name."""

    def __init__(self, file: RegularFile):
        self.file = file
        header = self._header()
        try:
            self.places = places(header, file.size)
        except ValueError as error:
            raise self._broken(error) from error

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.places)

    def describe(self, key):
        place = self.places[key]
        return place.shape, DTYPES.get(place.dtype, place.dtype)

    def read(self, key) -> np.ndarray:
        place = self.places[key]
        return self._array(place, place.start, place.shape)

    def read_own(self, key):
        return self.read(key)

    def parts(self, key) -> Iterator[np.ndarray]:
        """The rows in order, some at a time."""
        place = self.places[key]
        rows, size = place.shape[0], place.stop - place.start
        step = rows_at_a_time(rows, size)
        for first in range(0, rows, step):
            count = min(step, rows - first)
            start = place.start + first * size // rows
            yield self._array(place, start, (count, *place.shape[1:]))

    def check_unchanged(self):
        self.file.check_unchanged()

    def _header(self):
        """The bytes of the header, whose length is checked before they are read."""
        head = bytearray(8)
        if self.file.size < len(head):
            raise self._broken(f"it has {self.file.size} bytes")
        self.file.read(0, head)
        length = int.from_bytes(head, "little")
        if length > min(MAX_HEADER_BYTES, self.file.size - len(head)):
            raise self._broken(f"its header of {length} bytes does not fit")
        header = bytearray(length)
        self.file.read(len(head), header)
        return bytes(header)

    def _broken(self, why):
        return ValueError(
            f"{shown(self.file.path)} must be a whole safetensors file: {why}."
        )

    def _array(self, place, start, shape):
        dtype = jnp.dtype(DTYPES[place.dtype])
        content = np.empty(math.prod(shape) * dtype.itemsize, np.uint8)
        self.file.read(start, content)
        array = content.view(dtype).reshape(shape)
        return array.byteswap() if sys.byteorder == "big" else array


def places(header: bytes, size: int) -> dict[str, Place]:
    """The place of each tensor in a file of `size` bytes.

    Raises:
        ValueError: If the header is invalid, or the tensors do not fill the rest of the
            file exactly.
    """
    entries = parse(header)
    _check_metadata(entries.pop("__metadata__", None))
    found = {tensor: _place(tensor, entry) for tensor, entry in entries.items()}
    first = end = 8 + len(header)
    for name, place in sorted(found.items(), key=lambda item: item[1][2:]):
        if first + place.start != end:
            raise ValueError(f"{name!r} must start at byte {end - first} of the data")
        end = first + place.stop
    if end != size:
        raise ValueError(f"it must have {end} bytes, and has {size}")
    return {
        name: place._replace(start=first + place.start, stop=first + place.stop)
        for name, place in found.items()
    }


def _check_metadata(found):
    texts = found is None or (
        isinstance(found, dict) and all(isinstance(v, str) for v in found.values())
    )
    if not texts:
        raise ValueError("its __metadata__ must map names to strings")


def _place(tensor, entry):
    """The place of a tensor by its entry, which counts from the end of the header."""
    try:
        dtype, shape, (start, stop) = (
            entry[key] for key in ("dtype", "shape", "data_offsets")
        )
        numbers = [*shape, start, stop]
        whole = isinstance(shape, list) and all(
            type(n) is int and n >= 0 for n in numbers
        )
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{tensor!r} must have a dtype, a shape and two data_offsets"
        ) from error
    if not (whole and isinstance(dtype, str) and start <= stop):
        raise ValueError(f"{tensor!r} must have sizes and offsets from 0 on")
    bits = math.prod(shape) * _BITS.get(dtype, 0)
    if dtype in _BITS and bits != 8 * (stop - start):
        raise ValueError(
            f"{tensor!r} of shape {tuple(shape)} and dtype {dtype} must have {bits} "
            f"bits, and has {8 * (stop - start)}"
        )
    return Place(dtype, tuple(shape), start, stop)
