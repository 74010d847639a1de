"""64-bit integers as pairs of uint32 limbs, low and high, with wrap-around.

The high limb is `None` where the numbers are known to fit the low one. The last axis is
that of the heads.
"""

import jax.numpy as jnp
import numpy as np

from ..._words import multiply_high

_DIGIT_BITS = 16
# The quotients of `remainder` are less than 0.02 off. A quotient is below 2**16, and no
# part of it sees more than five roundings of float32: those of `rest`, its scale, their
# product, the sum and the difference. Each is at most 2**-24 of it, which makes
# 5 * 2**-8 in all. Less the margin, quotients are never too large, and at most 1 too
# small.
_MARGIN = np.float32(2**-4)


def per_head(values, dtype, ndim):
    """Static numbers of the heads, to broadcast to `ndim` axes."""
    return np.array(values, dtype).reshape((1,) * (ndim - 1) + (len(values),))


def product(ids, multipliers, *, wide, small=False):
    """Products of uint32 `ids` and of static integers, modulo `2**64`.

    `small` ids have 16 bits at most.
    """
    low = per_head([m % 2**32 for m in multipliers], np.uint32, ids.ndim)
    if not wide:
        return ids * low, None
    high = per_head([(m >> 32) % 2**32 for m in multipliers], np.uint32, ids.ndim)
    if small:
        carried = ids * (low >> 16) + (ids * (low & 0xFFFF) >> 16) >> 16
    else:
        carried = multiply_high(ids, low)
    return ids * low, carried + ids * high


def xor(a, b):
    """The exclusive or of two numbers."""
    return a[0] ^ b[0], None if a[1] is None else a[1] ^ b[1]


def add(a, b):
    """The sum of two numbers, modulo `2**64`."""
    low = a[0] + b[0]
    if a[1] is None:
        return low, None
    return low, a[1] + b[1] + (low < b[0]).astype(jnp.uint32)


def remainder(number, moduli, *, bits, signed):
    """The remainder of a number of `bits` bits by static moduli below `2**31`.

    A signed number is in two's complement, and its remainder is that of floored
    division, which is not negative.
    """
    low, high = number
    divisors = per_head(moduli, np.uint32, low.ndim)
    digits = _digits(low, high, bits)
    if min(moduli) >= 2**_DIGIT_BITS and len(digits) > 1:
        rest, *digits = digits
    else:
        rest = jnp.zeros_like(low)
    for digit in digits:
        rest = _append(rest, digit, divisors)
    if signed:
        is_negative = (low if bits <= 32 else high) >> 31 == 1
        wrapped = per_head([2**bits % m for m in moduli], np.uint32, low.ndim)
        rest = jnp.where(is_negative, rest - wrapped, rest)
        # A difference below 0 has wrapped, and is the larger one.
        rest = jnp.minimum(rest, rest + divisors)
    return rest.astype(jnp.int32)


def _digits(low, high, bits):
    """The 16-bit digits of a number of `bits` bits, the first one in front."""
    digits = [low & 0xFFFF, low >> 16]
    if high is not None:
        digits += [high & 0xFFFF, high >> 16]
    return digits[: -(-bits // _DIGIT_BITS)][::-1]


def _append(rest, digit, divisors):
    """`(rest * 2**16 + digit) % divisors`, for a `rest` below the divisors.

    The quotient comes from float32, which hardware has in vectors, unlike the division
    of integers. The remainder is a difference of integers, so it is exact.
    """
    scale = (2**_DIGIT_BITS / divisors.astype(np.float64)).astype(np.float32)
    inverse = (1 / divisors.astype(np.float64)).astype(np.float32)
    quotient = _float(rest) * scale + _float(digit) * inverse - _MARGIN
    quotient = quotient.astype(jnp.int32).astype(jnp.uint32)
    rest = (rest << _DIGIT_BITS | digit) - quotient * divisors
    # Less than twice the divisor. Less the divisor, a smaller one wraps and is large.
    return jnp.minimum(rest, rest - divisors)


def _float(number):
    # From int32, for which processors have an instruction.
    return number.astype(jnp.int32).astype(jnp.float32)
