"""Sums of numbers along a sequence, exact in fixed point and kept as pairs of floats.

A number is a whole number and three limbs of 10 bits, all int32. The sum of `2**20` of
them fits into int32, limb by limb, and does not depend on the order.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

_BITS, _MASK = 10, (1 << 10) - 1
_UNIT = 2.0**-30  # of the last limb
MOST = 1024.0  # of a number
MOST_NUMBERS = 2**20  # in one sum


@jax.custom_jvp
def exact_sums(x, start):
    """The pair of numbers whose sum is that of `start` and of `x` up to each place.

    `x` is `(*batch, length, columns)` and `start` is `(*batch, columns, 2)`, a pair.
    NaN makes every sum after it NaN. A gradient is added up in the dtype of `x`.
    """
    missing = [jnp.isnan(t).astype(np.int32) for t in (x, start.sum(-1))]
    limbs = lax.cumsum(jnp.stack([*_limbs(x), missing[0]]), x.ndim - 1)
    before = jnp.stack([*_limbs_of_pair(start), missing[1]])
    limbs = limbs + before[..., None, :]
    nan = jnp.asarray(jnp.nan, x.dtype)
    return jnp.where(limbs[4, ..., None] > 0, nan, _pair(limbs, x.dtype))


@exact_sums.defjvp
def _exact_sums_jvp(primals, tangents):
    of_x, of_start = tangents
    sums = lax.cumsum(of_x, of_x.ndim - 2) + of_start.sum(-1)[..., None, :]
    # The second number of a pair is what rounding has left of the first one.
    return exact_sums(*primals), jnp.stack([sums, jnp.zeros_like(sums)], -1)


def difference_of_pairs(a, b):
    """The difference of two sums, rounded once; each is a tuple of two numbers.

    Its gradient is that of the first numbers.
    """
    difference = a[0] - b[0]
    x, y, of_x, of_y = (lax.stop_gradient(t) for t in (a[0], b[0], a[1], b[1]))
    # What rounding takes from the difference of two floats is a float.
    taken = (x - y) - x
    error = (x - ((x - y) - taken)) - (y + taken)
    return difference + (error + (of_x - of_y))


def _limbs(x):
    x = jnp.clip(jnp.where(jnp.isnan(x), 0, x), -MOST, MOST)
    whole = jnp.trunc(x)
    return _split(whole, jnp.rint((x - whole) / _UNIT).astype(np.int32))


def _limbs_of_pair(pair):
    first, second = (jnp.nan_to_num(pair[..., n]) for n in (0, 1))
    first = jnp.clip(first, -MOST * MOST_NUMBERS / 2, MOST * MOST_NUMBERS / 2)
    whole = jnp.trunc(first)
    parts = (first - whole, jnp.clip(second, -0.5, 0.5))
    return _split(whole, sum(jnp.rint(t / _UNIT).astype(np.int32) for t in parts))


def _split(whole, fraction):
    return (
        whole.astype(np.int32),
        fraction >> 2 * _BITS,
        fraction >> _BITS & _MASK,
        fraction & _MASK,
    )


def _pair(limbs, dtype):
    """The sum of limbs as a float and what is missing from it."""
    # Not by iterating, which would gather an array on several devices outside `jit`.
    whole, high, middle, low = (limbs[n] for n in range(4))
    middle = middle + (low >> _BITS)
    high = high + (middle >> _BITS)
    whole = (whole + (high >> _BITS)).astype(dtype)
    # Fifteen bits of the fraction that stand above fifteen others.
    above = ((high & _MASK) << 5 | (middle & _MASK) >> 5).astype(dtype) * 2.0**-15
    below = ((middle & 31) << _BITS | low & _MASK).astype(dtype) * _UNIT
    total = whole + above
    return jnp.stack([total, (above - (total - whole)) + below], -1)
