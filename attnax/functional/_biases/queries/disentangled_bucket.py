"""DeBERTa's buckets of relative positions, by integers alone."""

from collections.abc import Sequence
from functools import lru_cache
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Real

from ...._checks import INT32_MAX, integer
from ...._public import public
from ..core.distances import int32_distance, length_of
from ..core.integer_roots import MOST_BUCKETS, integer_root


@public
def disentangled_bucket(
    distance: Real[Array | np.ndarray, "*distances"] | Sequence | SupportsIndex,
    *,
    num_buckets: SupportsIndex,
    max_distance: SupportsIndex,
) -> Int32[Array | np.ndarray, "*distances"]:
    """Returns the bucket of each distance, the row of DeBERTa's table.

    Distances of up to `mid = num_buckets / 2` have a bucket each. A longer distance `r`
    is in bucket `mid + ceil(ln(r / mid) / ln((M - 1) / mid) * (mid - 1))` of its
    direction, with `M = max_distance`, but at most in the last one. Buckets of keys
    before the query follow those of keys after it: with the bucket `b` of the length
    of a distance, the row is `min(num_buckets + b, 2 * num_buckets - 1)` for a key
    before the query, and `num_buckets - b` for one after it.

    The thresholds are integers, made on the host without a logarithm, so every distance
    is in the bucket of the formula in real arithmetic, on every device.

    Args:
        distance: Position of the key minus position of the query: integers of any
            dtype, or integers held in floats of 32 bits or more. Distances outside
            int32 count as the nearest int32. In a traced array of floats, fractions are
            rounded toward 0 and NaN counts as 0.
        num_buckets: Number of buckets of one direction. Even, and 2 to 4096.
            `position_buckets` in configs.
        max_distance: Distance from which on all distances of one direction share a
            bucket. At least `num_buckets / 2 + 2`. `max_relative_positions` in configs,
            or `max_position_embeddings` where that is -1.

    Returns:
        Rows in `[0, 2 * num_buckets)`, int32: a NumPy array of a NumPy array or a list,
        or else a JAX array.

    Raises:
        ValueError: If `distance` is of floats of 16 bits or holds known fractions, or
            if a setting is out of its range.

    Example:
        >>> disentangled_bucket(
        ...     [-600, -200, -1, 0, 1, 200, 600], num_buckets=256, max_distance=512
        ... ).tolist()
        [511, 425, 257, 256, 255, 87, 0]

    Reference:
        He et al., DeBERTa: Decoding-enhanced BERT with Disentangled Attention, 2020,
        section 3.1, and `make_log_bucket_position` of the code of its second version.
        https://arxiv.org/abs/2006.03654
    """
    num_buckets, max_distance = check_log_buckets(num_buckets, max_distance)
    steps = int32_distance("distance", distance)
    xp = np if isinstance(steps, np.ndarray) else jnp
    length = length_of(steps, xp)
    thresholds = np.array(_thresholds(num_buckets, max_distance), np.int32)
    bucket = xp.minimum(length, np.int32(num_buckets // 2))
    bucket = bucket + xp.searchsorted(thresholds, length, "right").astype(np.int32)
    row = np.int32(num_buckets) + xp.where(steps > 0, -bucket, bucket)
    row = xp.minimum(row, np.int32(2 * num_buckets - 1))
    return xp.asarray(row, np.int32)


def check_log_buckets(num_buckets, max_distance) -> tuple[int, int]:
    """The number of buckets and the largest distance, checked against each other."""
    num_buckets = integer("num_buckets", num_buckets, 2, MOST_BUCKETS)
    if num_buckets % 2 != 0:
        raise ValueError(f"{num_buckets=} must be even.")
    max_distance = integer("max_distance", max_distance, 1, INT32_MAX)
    if max_distance < num_buckets // 2 + 2:
        raise ValueError(f"{max_distance=} must be at least {num_buckets=} / 2 + 2.")
    return num_buckets, max_distance


@lru_cache
def _thresholds(num_buckets, max_distance):
    """The smallest distance of each bucket after the one of distance `mid`."""
    # The ceiling is n or more if and only if its argument is more than n - 1, that is
    # r**(mid - 1) > (M - 1)**(n - 1) * mid**(mid - n).
    mid, ratio = num_buckets // 2, max_distance - 1
    return tuple(
        integer_root(ratio ** (n - 1) * mid ** (mid - n) + 1, mid - 1)
        for n in range(1, mid + 1 if mid > 1 else 1)
    )
