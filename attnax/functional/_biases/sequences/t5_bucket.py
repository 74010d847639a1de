"""T5's buckets of relative positions, by integers alone."""

from collections.abc import Sequence
from functools import lru_cache
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Real

from ...._checks import INT32_MAX, check_flags, integer
from ...._public import public
from ..core.distances import int32_distance, length_of
from ..core.integer_roots import MOST_BUCKETS, integer_root


@public
def relative_position_bucket(
    distance: Real[Array | np.ndarray, "*distances"] | Sequence | SupportsIndex,
    *,
    num_buckets: SupportsIndex,
    max_distance: SupportsIndex,
    bidirectional: bool,
) -> Int32[Array | np.ndarray, "*distances"]:
    """Returns the bucket of each distance, the row of T5's table of biases.

    Half of the `n` buckets of one direction hold one distance each. The others hold
    ever longer ranges, which grow by one factor up to `max_distance`; the last one
    holds everything beyond it. In a bidirectional encoder, `n` is half of
    `num_buckets`, and the upper half is for keys after the query. In a causal decoder,
    `n` is `num_buckets`, and every key after the query is in bucket 0.

    The thresholds are integers, made on the host without a logarithm, so every distance
    is in the bucket of the formula in real arithmetic, on every device.

    Args:
        distance: Position of the key minus position of the query: integers of any
            dtype, or integers held in floats of 32 bits or more. Distances outside
            int32 count as the nearest int32. In a traced array of floats, fractions are
            rounded toward 0 and NaN counts as 0.
        num_buckets: Number of buckets, at most 4096. Even and at least 4 if
            bidirectional; else at least 2.
        max_distance: Distance from which on all distances share a bucket. More than
            half of the buckets of one direction.
        bidirectional: Whether keys after the query have buckets of their own.

    Returns:
        Buckets in `[0, num_buckets)`, int32: a NumPy array of a NumPy array or a list,
        or else a JAX array.

    Raises:
        ValueError: If `distance` is of floats of 16 bits or holds known fractions, or
            if a setting is out of its range.

    Example:
        >>> relative_position_bucket(
        ...     [-200, -9, -1, 0, 1], num_buckets=8, max_distance=16, bidirectional=True
        ... ).tolist()
        [3, 3, 1, 0, 5]

    Reference:
        Raffel et al., Exploring the Limits of Transfer Learning, 2020, section 2.1, and
        `_relative_position_bucket` of the code. https://arxiv.org/abs/1910.10683
    """
    num_buckets, max_distance = check_buckets(num_buckets, max_distance, bidirectional)
    n = num_buckets // 2 if bidirectional else num_buckets
    steps = int32_distance("distance", distance)
    xp = np if isinstance(steps, np.ndarray) else jnp
    after = steps > 0
    if not bidirectional:
        steps = xp.minimum(steps, np.int32(0))
    steps = length_of(steps, xp)
    bucket = xp.minimum(steps, np.int32(n // 2))
    for threshold in _thresholds(n, max_distance):
        bucket = bucket + (steps >= np.int32(threshold)).astype(np.int32)
    if bidirectional:
        bucket = bucket + xp.where(after, np.int32(n), np.int32(0))
    return xp.asarray(bucket, np.int32)


def check_buckets(num_buckets, max_distance, bidirectional) -> tuple[int, int]:
    """The number of buckets and the largest distance, checked against each other."""
    check_flags(bidirectional=bidirectional)
    lowest = 4 if bidirectional else 2
    num_buckets = integer("num_buckets", num_buckets, lowest, MOST_BUCKETS)
    if bidirectional and num_buckets % 2 != 0:
        raise ValueError(f"{num_buckets=} must be even for bidirectional=True.")
    max_distance = integer("max_distance", max_distance, 1, INT32_MAX)
    exact = num_buckets // (4 if bidirectional else 2)
    if max_distance <= exact:
        raise ValueError(
            f"{max_distance=} must be more than {exact}, the distances with a bucket "
            f"of their own for {num_buckets=}."
        )
    return num_buckets, max_distance


@lru_cache
def _thresholds(n, max_distance):
    """The smallest distance of each bucket after the one of distance `n // 2`."""
    # The bucket e + floor((n - e) ln(r / e) / ln(M / e)) is at least e + k if and only
    # if r**(n - e) >= M**k e**(n - e - k).
    e = n // 2
    return tuple(
        integer_root(max_distance**k * e ** (n - e - k), n - e) for k in range(1, n - e)
    )
