"""Tensors by name, read one at a time: from a mapping, a file or several."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from .._dtypes import default_float_dtype

FLOATS = ("bfloat16", "float16", "float32", "float64")
# Of a tensor that is compared and not kept, so much is in memory at a time.
CHUNK_BYTES = 2**24
_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32", "F64": "float64"}


class Arrays(NamedTuple):
    """A mapping of arrays, or the `.npz` file at `path`, made when asked for."""

    function: str
    arrays: Mapping
    path: pathlib.Path | None = None

    @property
    def names(self):
        return tuple(self.arrays)

    def describe(self, name):
        array = self.read(name)
        # The name of a dtype does not tell a foreign byte order.
        dtype = array.dtype.name if array.dtype.isnative else array.dtype.str
        return array.shape, dtype

    def read(self, name):
        array = self.arrays[name] if self.path is None else self._unzip(name)
        if isinstance(array, np.ma.MaskedArray):
            raise ValueError(
                f"{self.function}: {name!r} must be an array without a mask; fill it."
            )
        if not isinstance(array, np.ndarray | jax.Array):
            raise ValueError(
                f"{self.function}: {name!r} of type {type(array).__qualname__} must be "
                "a NumPy or JAX array; pass a safetensors file, or convert it."
            )
        return np.asarray(array)

    def read_rows(self, name, start, stop):
        return self.read(name)[start:stop]

    def read_own(self, name):
        """In memory that is nobody else's: the owner may go on writing to it."""
        return self.read(name).copy()

    def _unzip(self, name):
        try:
            return self.arrays[name]
        except Exception as error:  # of the many that zipfile and NumPy raise
            raise ValueError(
                f"{self.function}: {name!r} of {str(self.path)!r} must be an array, "
                f"but cannot be read: {error}"
            ) from error


class Files(NamedTuple):
    """Safetensors files: `paths` tells where each tensor is."""

    function: str
    paths: Mapping[str, pathlib.Path]

    @property
    def names(self):
        return tuple(self.paths)

    def describe(self, name):
        with self._open(name) as file:
            if name not in file.keys():
                raise ValueError(
                    f"{self.function}: {name!r} must be in {self.paths[name].name!r}, "
                    "as the index says."
                )
            tensor = file.get_slice(name)
            shape, dtype = tuple(tensor.get_shape()), tensor.get_dtype()
        return shape, _DTYPES.get(dtype, dtype)

    def read(self, name):
        with self._open(name) as file:
            return file.get_tensor(name)

    def read_rows(self, name, start, stop):
        with self._open(name) as file:
            return file.get_slice(name)[start:stop]

    def read_own(self, name):
        return self.read(name)

    def _open(self, name):
        # Opened for each tensor: a file that stays open keeps the pages that were read.
        return open_safetensors(self.function, self.paths[name])


def check_float(function, name, dtype):
    """A dtype of the parameters of embeddings."""
    if dtype not in FLOATS:
        raise ValueError(
            f"{function}: {name!r} of dtype {dtype} must be one of {FLOATS}; "
            "dequantize or convert it first."
        )


def check_held(function, name, dtype):
    """A dtype that JAX holds as it is, else an error: nothing is cast."""
    if dtype == "float64" and default_float_dtype() != np.float64:
        raise ValueError(
            f"{function}: {name!r} of dtype {dtype} must come with jax_enable_x64, "
            "without which JAX would round it to float32; or cast it yourself."
        )


def to_jax(source, array):
    """A JAX array of the same bits, in memory that is nobody else's."""
    if isinstance(source, Arrays):
        # JAX may take memory over as it is, and its owner go on writing to it.
        array = array.copy()
    made = jax.device_put(array).block_until_ready()
    # JAX holds on to what it copied from until its next transfer.
    jax.device_put(0)
    return made


def same_bits(source, name, array):
    """Whether a tensor has the dtype, shape and bits of `array`; never read whole."""
    if source.describe(name) != (array.shape, array.dtype.name):
        return False
    rows, step = len(array), max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
    spans = ((start, min(start + step, rows)) for start in range(0, rows, step))
    return all(
        np.array_equal(
            _as_bytes(source.read_rows(name, start, stop)), _as_bytes(array[start:stop])
        )
        for start, stop in spans
    )


def _as_bytes(array):
    return np.ascontiguousarray(array).view(np.uint8)


def open_safetensors(function, path):
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise ImportError(
            f"{function}: safetensors files need `pip install safetensors`."
        ) from error
    try:
        return safe_open(path, framework="np")
    except FileNotFoundError as error:
        raise ValueError(f"{function}: {str(path)!r} does not exist.") from error
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{function}: {str(path)!r} must be a whole safetensors file: {error}."
        ) from error
