"""Buckets inside a segment and a bias for each pair of segments: CPM-Ant."""

from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp

from ...._checks import integer, positive_integer
from ...._public import public
from ..core.by_row import matrix_by_row
from ..core.by_token import of_pair_at, of_pairs
from ..core.content import Numbers
from ..core.distances import saturating_difference
from ..core.record import PositionBias, set_fields
from ..core.table import bias_at, check_bias_table, draw_table
from .t5_bucket import check_buckets, relative_position_bucket


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class SegmentBias(PositionBias):
    """A bias of buckets inside a segment, and of pairs of segments elsewhere.

    `q` and `k` of `apply_position_bias` are the segments of the tokens,
    `(*batch, seq_len)`, integers in `[0, num_segments)`. A pair of tokens in one
    segment has the bias of the bucket of its distance, and every other pair that of row
    `num_buckets + num_segments * q + k` of the table. Parameters are a
    `TableBiasParams`.

    A segment that is not known and out of range gives NaN at its pairs.

    Args:
        num_heads: Number of heads. Positive.
        num_segments: Number of segments. Positive.
        num_buckets: Number of buckets, see `relative_position_bucket`. Even.
        max_distance: Distance from which on all distances share a bucket.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> bias = SegmentBias(4, 2, num_buckets=8, max_distance=16)
        >>> params = init_position_bias(jax.random.key(0), bias)
        >>> segments = jnp.array([0, 0, 1])
        >>> apply_position_bias(
        ...     bias, params, range(3), range(3), q=segments, k=segments
        ... ).shape
        (4, 3, 3)

    Reference:
        `CpmAntSegmentPositionEmbedding` of the code in transformers.
        https://github.com/OpenBMB/CPM-Live
    """

    num_heads: int
    num_segments: int
    num_buckets: int
    max_distance: int

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        num_segments: SupportsIndex = 32,
        *,
        num_buckets: SupportsIndex = 512,
        max_distance: SupportsIndex = 2048,
    ):
        num_segments = integer("num_segments", num_segments, 1, 2**15)
        num_buckets, max_distance = check_buckets(num_buckets, max_distance, True)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            num_segments=num_segments,
            num_buckets=num_buckets,
            max_distance=max_distance,
        )

    @property
    def num_rows(self) -> int:
        """Number of rows of the table."""
        return self.num_buckets + self.num_segments**2

    @property
    def _reads(self):
        segments = Numbers(0, self.num_segments)
        return {"q": segments, "k": segments}

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params, argument="params"):
        check_bias_table(params, self.num_rows, self.num_heads, argument)

    def _row(self, q, k):
        (q_position, q_segment), (k_position, k_segment) = q, k
        inside = relative_position_bucket(
            saturating_difference(k_position, q_position),
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
            bidirectional=True,
        )
        across = self.num_buckets + self.num_segments * q_segment + k_segment
        return jnp.where(q_segment == k_segment, inside, across)

    def _matrix(self, params, pairs, content, dtype):
        rows = of_pairs(self._row, (pairs.q, content.q), (pairs.k, content.k))
        return matrix_by_row(params.table, rows, dtype)

    def _score(self, params, pairs, content):
        row = of_pair_at(self._row, (pairs.q, content.q), (pairs.k, content.k))

        def bias(batch, head, q_index, k_index):
            return bias_at(params.table, row(batch, q_index, k_index), head)

        return bias
