"""A table of biases by clipped distances: Phi-4's audio encoder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32, Real

from ...._checks import INT32_MAX, check_flags, integer, positive_integer
from ...._public import public
from ..core.by_distance import distance_at, matrix_by_distance
from ..core.distances import int32_distance
from ..core.record import PositionBias, set_fields
from ..core.table import bias_at, biases_at, check_bias_table, draw_table


@public
def clipped_distances(
    distance: Real[Array | np.ndarray, "*distances"] | Sequence | SupportsIndex,
    *,
    left: SupportsIndex,
    right: SupportsIndex,
) -> Int32[Array | np.ndarray, "*distances"]:
    """Returns each distance clipped to `[-left, right]`, counted from `-left` on.

    The result is the row of a table with one row for each of the `left + 1 + right`
    distances. Tables that count from `right` down are flipped.

    Args:
        distance: Position of the key minus position of the query: integers of any
            dtype, or integers held in floats of 32 bits or more. Distances outside
            int32 count as the nearest int32. In a traced array of floats, fractions are
            rounded toward 0 and NaN counts as 0.
        left: Largest distance of a key before the query. Not negative.
        right: Largest distance of a key after the query. Not negative;
            `left + right` lies in int32.

    Returns:
        Rows in `[0, left + 1 + right)`, int32: a NumPy array of a NumPy array or a
        list, or else a JAX array.

    Raises:
        ValueError: If `distance` is of floats of 16 bits or holds known fractions, or
            if a setting is out of its range.

    Example:
        >>> clipped_distances([-9, -1, 0, 1, 9], left=2, right=1).tolist()
        [0, 1, 2, 3, 3]

    Reference:
        Shaw et al., Self-Attention with Relative Position Representations, 2018,
        section 3.2. https://arxiv.org/abs/1803.02155
    """
    left = integer("left", left, 0, INT32_MAX)
    right = integer("right", right, 0, INT32_MAX - left)
    steps = int32_distance("distance", distance)
    xp = np if isinstance(steps, np.ndarray) else jnp
    steps = xp.clip(steps, np.int32(-left), np.int32(right)) + np.int32(left)
    return xp.asarray(steps, np.int32)


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class ClippedDistanceBias(PositionBias):
    """A table of biases with a row for each distance up to a largest one.

    With `symmetric=False`, the table has `2 * max_distance` rows, for the distances
    `-max_distance` to `max_distance - 1`. With `symmetric=True` it has `max_distance`
    rows, for `|distance|` up to `max_distance - 1`. Distances beyond them have the bias
    of the nearest one. The audio encoder of Phi-4 has this bias. Its parameters are a
    `TableBiasParams`.

    Args:
        num_heads: Number of heads. Positive.
        max_distance: Number of distances in each direction. Positive.
        symmetric: Whether keys before and after the query share their rows.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> ClippedDistanceBias(16, 500)
        ClippedDistanceBias(num_heads=16, max_distance=500, symmetric=False)

    Reference:
        Abouelenin et al., Phi-4-Mini Technical Report, 2025, and
        `Phi4MultimodalAudioRelativeAttentionBias` of the code in transformers.
        https://arxiv.org/abs/2503.01743
    """

    num_heads: int
    max_distance: int
    symmetric: bool

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        max_distance: SupportsIndex,
        *,
        symmetric: bool = False,
    ):
        check_flags(symmetric=symmetric)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            max_distance=integer("max_distance", max_distance, 1, 2**30),
            symmetric=bool(symmetric),
        )

    @property
    def num_rows(self) -> int:
        """Number of rows of the table."""
        return self.max_distance * (1 if self.symmetric else 2)

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params, argument="params"):
        check_bias_table(params, self.num_rows, self.num_heads, argument)

    def _row(self, distance):
        last = self.max_distance - 1
        left = last if self.symmetric else self.max_distance
        rows = clipped_distances(distance, left=left, right=last)
        return abs(rows - np.int32(last)) if self.symmetric else rows

    def _matrix(self, params, pairs, content, dtype):
        def values(distance):
            return biases_at(params.table, self._row(distance))

        return matrix_by_distance(values, pairs, dtype)

    def _score(self, params, pairs, content):
        distance = distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            rows = self._row(distance(batch, q_index, k_index))
            return bias_at(params.table, rows, head)

        return bias
