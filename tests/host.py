"""Arrays as `jax.numpy` makes them, but made by NumPy, so that nothing compiles.

`jnp.ones` and its like compile a program for every shape and dtype.
"""

import jax
import jax.numpy as jnp
import numpy as np

# Whether tables in the memory of the host can be written, or are refused.
WRITES = jax.__version_info__ >= (0, 10, 2)


def ones(shape, dtype=None):
    return asarray(np.ones(shape), jnp.result_type(float) if dtype is None else dtype)


def zeros(shape, dtype=None):
    return asarray(np.zeros(shape), jnp.result_type(float) if dtype is None else dtype)


def arange(*bounds, dtype=None):
    made = np.arange(*bounds)
    kind = float if made.dtype.kind == "f" else int
    return asarray(made, jnp.result_type(kind) if dtype is None else dtype)


def asarray(array, dtype=None):
    array = np.asarray(array)
    return jax.device_put(array if dtype is None else array.astype(dtype))
