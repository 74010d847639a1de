"""Helpers of several test files."""

import functools
import os

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest


def assert_close(actual, expected, *, magnitude, roundings=4):
    """Compares in float64, to a tolerance derived from where rounding happens.

    One rounding of a result of size `magnitude` to the dtype of `actual`, plus
    `roundings` in float32 on the way. It never depends on the position.
    """
    storage = float(jnp.finfo(actual.dtype).eps) / 2
    compute = float(jnp.finfo(jnp.float32).eps) * roundings
    actual, expected = (np.asarray(a, np.float64) for a in (actual, expected))
    assert actual.shape == expected.shape
    atol = magnitude * (storage + compute)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol)


def assert_same_bits(actual, expected):
    """Equal dtype, shape and bit pattern: tells -0.0 from 0.0 and keeps subnormals."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype
    assert actual.shape == expected.shape
    kind = f"u{actual.dtype.itemsize}"
    np.testing.assert_array_equal(actual.view(kind), expected.view(kind))


def assert_frequencies(actual, expected, plain, *, roundings):
    """Float64 frequencies against mpf: `roundings` of 2**-53 of the *plain* ones.

    What a method does to a frequency is rounded in units of what it started from, so
    an interpolated one may be off by more units of its own. Angles depend on the
    absolute error, which is that of the plain frequencies then.
    """
    assert actual.dtype == np.float64
    expected, plain = (np.array([float(f) for f in t]) for t in (expected, plain))
    assert actual.shape == expected.shape
    assert (np.abs(actual - expected) <= roundings * 2.0**-53 * plain).all()


def assert_within_one_ulp(actual, expected):
    """Float64, at most one unit in the last place apart."""
    assert (np.abs(actual - expected) <= np.spacing(expected)).all()


def refused(message):
    """Expects our own `ValueError`; with the hook, the annotation may say so first."""
    if os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "0":
        return pytest.raises(ValueError, match=message)
    errors = ValueError, jaxtyping.TypeCheckError
    return pytest.raises(errors, match=f"{message}|^Type-check error")


# Without optimization, some programs round a product before a sum, and others do not.
optimized = pytest.mark.skipif(
    "optimization_level=0" in os.environ.get("XLA_FLAGS", ""), reason="rounds otherwise"
)


def slow(*values):
    """Parameters that only the check runs, beside others that stand for their kind."""
    return [pytest.param(value, marks=pytest.mark.slow) for value in values]


def jitted(function):
    """`function` under `jit`, compiled once for each shape and each setting.

    Arguments that are arrays, or hold arrays, are traced; all others are static.
    Outside `jit` every operation of the function compiles by itself for each shape,
    which is what most of the time of a test went into. Tests call the function itself
    where the point is what JAX does outside `jit`, or values that are known, and where
    it does little but make exact cos and sin: they are one program already, which all
    settings share.
    """

    @functools.wraps(function)
    def call(*args, **kwargs):
        leaves, structure = jax.tree.flatten((args, kwargs))
        traced = tuple(isinstance(leaf, jax.Array | np.ndarray) for leaf in leaves)
        arrays = [leaf for leaf, array in zip(leaves, traced, strict=True) if array]
        # Types are part of the key: 1, 1.0 and True are equal and differ in meaning.
        settings = tuple(
            None if array else (type(leaf), leaf)
            for leaf, array in zip(leaves, traced, strict=True)
        )
        return _call(function, structure, settings, arrays)

    return call


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _call(function, structure, settings, arrays):
    arrays = iter(arrays)
    leaves = [next(arrays) if setting is None else setting[1] for setting in settings]
    args, kwargs = jax.tree.unflatten(structure, leaves)
    return function(*args, **kwargs)
