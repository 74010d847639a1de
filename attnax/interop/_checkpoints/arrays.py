"""Arrays by name, checks of their dtypes, and their way to JAX."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from ..._checks import type_of
from ..._dtypes import default_float_dtype

FLOATS = ("bfloat16", "float16", "float32", "float64")
# Bytes of a tensor in memory while it is compared and not kept.
CHUNK_BYTES = 2**24


class Arrays(NamedTuple):
    """The arrays of a mapping, with the methods of an open file."""

    arrays: Mapping

    @property
    def names(self):
        return tuple(self.arrays)

    def describe(self, key):
        array = self.read(key)
        return array.shape, dtype_name(array.dtype)

    def read(self, key):
        array = self.arrays[key]
        if isinstance(array, np.ma.MaskedArray):
            raise ValueError(f"{key!r} must be an array without a mask; fill it.")
        if not isinstance(array, np.ndarray | jax.Array):
            raise ValueError(
                f"{key!r} of type {type(array).__qualname__} must be "
                "a NumPy or JAX array; pass a safetensors file, or convert it."
            )
        return np.asarray(array)

    def read_own(self, key):
        """A copy, since the owner of an array may go on writing to it."""
        return self.read(key).copy()

    def parts(self, key):
        """The rows in order, some at a time."""
        array = self.read(key)
        step = rows_at_a_time(len(array), array.nbytes)
        return (array[start : start + step] for start in range(0, len(array), step))


def check_names(argument, arrays) -> None:
    """A `ValueError` unless `arrays` is a mapping whose keys are strings."""
    if not isinstance(arrays, Mapping):
        raise ValueError(
            f"{argument} is {type_of(arrays)}, but must be a mapping of arrays."
        )
    strange = next((key for key in arrays if not isinstance(key, str)), None)
    if strange is not None:
        raise ValueError(f"{argument} has the key {strange!r}, which must be a string.")


def dtype_name(dtype):
    """The name of a dtype; the one of a foreign byte order is no name of JAX's."""
    return dtype.name if dtype.isnative else dtype.str


def rows_at_a_time(rows, size):
    """The number of rows to compare at a time of a tensor with `size` bytes."""
    return max(1, CHUNK_BYTES * rows // max(1, size))


def check_float(tensor, dtype):
    """A `ValueError` unless a tensor has a dtype of parameters."""
    if dtype not in FLOATS:
        raise ValueError(
            f"{tensor!r} of dtype {dtype} must be one of {FLOATS}; "
            "dequantize or convert it first."
        )


def check_held(tensor, dtype):
    """A `ValueError` unless JAX holds the dtype of a tensor without a cast."""
    if dtype == "float64" and default_float_dtype() != np.float64:
        raise ValueError(
            f"{tensor!r} of dtype {dtype} must come with jax_enable_x64, "
            "without which JAX would round it to float32; or cast it yourself."
        )


def to_jax(source, array):
    """A JAX array of the same bits, which shares no memory with the source."""
    if isinstance(source, Arrays):
        # JAX may use the memory of an array as it is, while its owner writes to it.
        array = array.copy()
    made = jax.device_put(array).block_until_ready()
    # JAX keeps the memory that it copied from until its next transfer.
    jax.device_put(0)
    return made


def same_bits(source, name, array):
    """Whether a tensor has the dtype, shape and bits of `array`; reads it in parts."""
    if source.describe(name) != (array.shape, array.dtype.name):
        return False
    start = 0
    for part in source.parts(name):
        if not np.array_equal(_as_bytes(part), _as_bytes(array[start:][: len(part)])):
            return False
        start += len(part)
    return True


def _as_bytes(array):
    return np.ascontiguousarray(array).view(np.uint8)
