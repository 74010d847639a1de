"""Distances from queries to keys, as int32, for two sequences of positions."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from ...._checks import (
    INT32_MAX,
    INT32_MIN,
    array_of,
    broadcast_batches,
    check_axes,
    first_where,
    int32_in_range,
    is_known,
    number_array,
)

# The bounds of positions, `[low, high)`, where any int32 is one.
INT32 = (INT32_MIN, INT32_MAX + 1)


class Pairs(NamedTuple):
    """Every pair of a query and a key.

    Attributes:
        q: Positions of the queries, int32, `(*batch, q_len)`.
        k: Positions of the keys, int32, `(*batch, k_len)`.
        q_valid: Which queries have positions, and segments, in the bounds of the bias;
            `None` where all have.
        k_valid: The same for the keys.
        offset: The position of the first key minus that of the first query if both are
            known to count up by one; else `None`.
        first_q: The position of the first query then; else `None`.
    """

    q: Any
    k: Any
    q_valid: Any
    k_valid: Any
    offset: int | None
    first_q: int | None

    @property
    def lengths(self) -> tuple[Any, Any]:
        """Number of queries and of keys."""
        return self.q.shape[-1], self.k.shape[-1]

    @property
    def batch(self) -> tuple[Any, ...]:
        """The batch axes of queries and keys together."""
        return jnp.broadcast_shapes(self.q.shape[:-1], self.k.shape[:-1])

    def diagonal_distances(self):
        """Distances along the diagonals, `(q_len + k_len - 1,)`, as a NumPy array.

        The first is that of the last query and the first key.
        """
        q_len, k_len = self.lengths
        first = (self.offset or 0) - (q_len - 1)
        distances = np.arange(first, first + q_len + k_len - 1, dtype=np.int64)
        return np.clip(distances, INT32_MIN, INT32_MAX).astype(np.int32)

    def all_of(self, num_queries, num_keys=None) -> bool:
        """Whether they are known to be all queries and all keys, in order."""
        lengths = num_queries, num_queries if num_keys is None else num_keys
        return self.first_q == 0 == self.offset and self.lengths == lengths

    def distances(self):
        """The distance of every pair, `(*batch, q_len, k_len)`."""
        return saturating_difference(self.k[..., None, :], self.q[..., :, None])

    def valid(self):
        """Which pairs have two valid tokens; `None` where all have."""
        q, k = self.q_valid, self.k_valid
        q = None if q is None else q[..., :, None]
        return both_valid(q, None if k is None else k[..., None, :])

    def where(self, q_valid, k_valid) -> "Pairs":
        """The pairs, of which only those of these tokens are valid."""
        return self._replace(
            q_valid=both_valid(self.q_valid, q_valid),
            k_valid=both_valid(self.k_valid, k_valid),
        )


def pairs_of(q_positions, k_positions, bounds=INT32, k_bounds=None) -> Pairs:
    """The pairs of checked positions in bounds, whose batch axes broadcast."""
    q_positions = _array("q_positions", q_positions)
    k_positions = _array("k_positions", k_positions)
    offset = first = None
    if _counts_up(q_positions) and _counts_up(k_positions):
        first = int(q_positions[0])
        offset = int(k_positions[0]) - first
    q, q_valid = int32_in_range("q_positions", q_positions, *bounds)
    k, k_valid = int32_in_range("k_positions", k_positions, *(k_bounds or bounds))
    check_axes("q_positions", q, "q_len")
    check_axes("k_positions", k, "k_len")
    broadcast_batches({"q_positions": q.shape[:-1], "k_positions": k.shape[:-1]})
    rank = max(q.ndim, k.ndim)
    q, k, q_valid, k_valid = (of_rank(t, rank) for t in (q, k, q_valid, k_valid))
    return Pairs(q, k, q_valid, k_valid, offset, first)


def both_valid(a, b) -> Any:
    """What two masks allow; `None` stands for a mask that allows everything."""
    if a is None or b is None:
        return b if a is None else a
    rank = max(a.ndim, b.ndim)
    return of_rank(a, rank) & of_rank(b, rank)


def saturating_difference(a, b):
    """`a - b` of int32; a difference outside int32 is the nearest int32."""
    difference = a - b
    overflows = ((a ^ b) & (a ^ difference)) < 0
    limit = jnp.where(a < 0, jnp.int32(INT32_MIN), jnp.int32(INT32_MAX))
    return jnp.where(overflows, limit, difference)


def int32_distance(argument: str, distance):
    """Distances of any integer dtype as int32; those outside int32 are the nearest.

    NumPy arrays and lists come back as NumPy arrays. Floats of 32 bits or more are
    taken as the integers that they hold.
    """
    distance = number_array(argument, distance)
    is_float = jnp.issubdtype(distance.dtype, jnp.floating)
    if is_float and is_known(distance):
        known = np.asarray(distance)
        fraction = first_where(argument, known, known != np.trunc(known))
        if fraction is not None:
            raise ValueError(f"{fraction} must be an integer; round it first.")
    xp = np if isinstance(distance, np.ndarray) else jnp
    if is_float:
        return saturated_floats(distance, xp)
    info = np.iinfo(distance.dtype)
    low, high = max(info.min, INT32_MIN), min(info.max, INT32_MAX)
    if (low, high) != (info.min, info.max):
        distance = xp.clip(
            distance, distance.dtype.type(low), distance.dtype.type(high)
        )
    # NumPy makes scalars of arrays without axes.
    return xp.asarray(distance.astype(np.int32))


def length_of(distance, xp=jnp):
    """The absolute value of int32 distances; that of -2**31 is 2**31 - 1."""
    return xp.abs(xp.maximum(distance, np.int32(-INT32_MAX)))


def saturated_floats(distance, xp):
    """Floats that hold integers as int32; NaN is 0."""
    # float32 holds 2**31 and -2**31, but not 2**31 - 1.
    limit = distance.dtype.type(2**31)
    above = distance >= limit
    inside = xp.where(above | xp.isnan(distance), distance.dtype.type(0), distance)
    inside = xp.maximum(inside, -limit).astype(np.int32)
    return xp.where(above, np.int32(INT32_MAX), inside)


def of_rank(array, rank) -> Any:
    """An array with leading axes of 1, so that ranks need not be promoted."""
    if array is None:
        return None
    return array.reshape((1,) * (rank - array.ndim) + array.shape)


def _array(argument, positions):
    if isinstance(positions, range):
        positions = np.arange(positions.start, positions.stop, positions.step)
    return array_of(argument, positions)


def _counts_up(positions):
    """Whether known positions are one sequence that counts up by one."""
    if not isinstance(positions, np.ndarray) or positions.ndim != 1:
        return False
    if not positions.size or not np.issubdtype(positions.dtype, np.integer):
        return False
    start = int(positions[0])
    run = np.arange(start, start + positions.size)
    return np.array_equal(positions.astype(run.dtype), run)
