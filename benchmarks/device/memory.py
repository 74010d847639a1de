"""The most that the device can do: copies of memory, and matrix products."""

import jax.numpy as jnp
from jax import lax

from .. import cases
from ..timing.harness import Group
from ..timing.programs import Program
from .sizes import Sizes

MIB = 2**20


def copies(sizes: Sizes):
    """A copy of each size, and the least that any program takes."""
    for mib in sizes.copied_mib:
        for dtype in (jnp.float32, jnp.bfloat16):
            x = cases.normal(0, (mib * MIB // jnp.dtype(dtype).itemsize,), dtype)
            yield Group(
                f"copy of {mib} MiB",
                "copy",
                {"limit": Program(cases.copy, (x,))},
                meta={"shape": x.shape, "dtype": x.dtype.name},
                bytes_moved=2 * x.nbytes,
            )
    one = jnp.ones(())
    yield Group(
        "one number: what it takes to start a program",
        "start of a program",
        {"limit": Program(lambda x: x + 1, (one,))},
        meta={"shape": (), "dtype": "float32"},
    )


def products(sizes: Sizes):
    """A square matrix product, of float32 as JAX multiplies it and in full."""
    size = sizes.matmul
    shape = (size, size)
    for dtype, precision in (
        (jnp.bfloat16, None),
        (jnp.float32, None),
        (jnp.float32, lax.Precision.HIGHEST),
    ):
        a, b = (cases.normal(seed, shape, dtype) for seed in (0, 1))
        product = lambda a, b, p=precision: jnp.matmul(a, b, precision=p)
        yield Group(
            f"product of {size} x {size}" + ", highest precision" * bool(precision),
            "matrix product",
            {"limit": Program(product, (a, b))},
            meta={"shape": shape, "dtype": a.dtype.name},
            operations=2 * size**3,
        )
