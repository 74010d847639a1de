"""The relative position bias of T5: a table of buckets of distances."""

from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

import jax

from ...._checks import number, positive_integer
from ...._public import public
from ..core.by_distance import distance_at, matrix_by_distance
from ..core.record import PositionBias, set_fields
from ..core.table import bias_at, biases_at, check_bias_table, draw_table
from .t5_bucket import check_buckets, relative_position_bucket


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class T5Bias(PositionBias):
    """T5's position bias: a table of `num_buckets` rows, one bias per bucket and head.

    T5, UMT5, LongT5, Pop2Piano, MPNet and others have it. T5 and its kin do not scale
    their scores, so their attention takes `scale=1.0`; MPNet scales its scores as
    usual. The parameters are `TableBiasParams` of `num_buckets` rows.

    Args:
        num_heads: Number of heads. Positive.
        num_buckets: Number of buckets, see `relative_position_bucket`.
        max_distance: Distance from which on all distances share a bucket.
        bidirectional: Whether keys after the query have buckets of their own: True in
            encoders, False in decoders.
        factor: Factor on the biases, for models that divide the sum of scores and
            biases. Finite.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> T5Bias(8, bidirectional=False)  # doctest: +NORMALIZE_WHITESPACE
        T5Bias(num_heads=8, num_buckets=32, max_distance=128, bidirectional=False,
               factor=1.0)

    Reference:
        Raffel et al., Exploring the Limits of Transfer Learning, 2020, section 2.1.
        https://arxiv.org/abs/1910.10683
    """

    num_heads: int
    num_buckets: int
    max_distance: int
    bidirectional: bool
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        num_buckets: SupportsIndex = 32,
        max_distance: SupportsIndex = 128,
        *,
        bidirectional: bool,
        factor: SupportsFloat = 1.0,
    ):
        num_buckets, max_distance = check_buckets(
            num_buckets, max_distance, bidirectional
        )
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            num_buckets=num_buckets,
            max_distance=max_distance,
            bidirectional=bool(bidirectional),
            factor=number("factor", factor),
        )

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_buckets, self.num_heads, init_std, dtype)

    def _check(self, params, argument="params"):
        check_bias_table(params, self.num_buckets, self.num_heads, argument)

    def _bucket(self, distance):
        return relative_position_bucket(
            distance,
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )

    def _matrix(self, params, pairs, content, dtype):
        def values(distance):
            return self.factor * biases_at(params.table, self._bucket(distance))

        return matrix_by_distance(values, pairs, dtype)

    def _score(self, params, pairs, content):
        distance = distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            rows = self._bucket(distance(batch, q_index, k_index))
            return self.factor * bias_at(params.table, rows, head)

        return bias
