"""A table of biases by distances of boxes on a page: LayoutLM and UDOP."""

from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import check_flags, choice, number, positive_integer
from ...._public import public
from ..core.by_row import matrix_by_row
from ..core.by_token import of_pair_at, of_pairs, with_batch_of
from ..core.content import Boxes
from ..core.entries import entry_at
from ..core.record import PositionBias, set_fields
from ..core.table import bias_at, check_bias_table, draw_table
from .box_distance import center, is_wider_than_jax, steps_between
from .t5_bucket import check_buckets, relative_position_bucket

SIDES = ("left", "top", "right", "bottom")
CENTERS = ("center_x", "center_y")


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class BoxBias(PositionBias):
    """A table of biases by the distance of the boxes of two tokens on a page.

    `q` and `k` of `apply_position_bias` are the boxes, `(*batch, seq_len, 4)`: left,
    top, right and bottom, integers or floats of 32 bits or more. The distance is that
    of one coordinate, key minus query, and its bucket is the one of T5. Integers are
    subtracted exactly where `scale` is 1. Floats are subtracted in their dtype, and the
    difference is rounded to float32, multiplied by `scale` and rounded toward 0, as
    UDOP's code does. A coordinate that is NaN has the distance 0 from all others.
    Parameters are a `TableBiasParams`.

    LayoutLMv2 and LayoutLMv3 add a `T5Bias` and two `BoxBias` of `"left"` and
    `"bottom"`; UDOP adds a `T5Bias` and two of `"center_x"` and `"center_y"`: see
    `SumBias`.

    Args:
        num_heads: Number of heads. Positive.
        num_buckets: Number of buckets, see `relative_position_bucket`.
        max_distance: Distance from which on all distances share a bucket.
        coordinate: What is measured: `"left"`, `"top"`, `"right"`, `"bottom"`,
            `"center_x"` or `"center_y"` of the boxes, or `"position"` for the position
            of the token.
        scale: Factor on differences, such as 100 for boxes in `[0, 1]`. Positive, and 1
            for `"position"`.
        bidirectional: Whether positive distances have buckets of their own.
        prefix_rows: Whether the table has two more rows for tokens in front of the
            page, those whose top is negative: one for such a query and a key on the
            page, and one for a query on the page and such a key.
        factor: Factor on the biases, for models that divide the sum of scores and
            biases. Finite.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> bias = BoxBias(12, 64, 256, coordinate="left")
        >>> params = init_position_bias(jax.random.key(0), bias)
        >>> x = np.array([[10, 20, 60, 30], [70, 20, 90, 30]])
        >>> apply_position_bias(bias, params, range(2), range(2), q=x, k=x).shape
        (12, 2, 2)

    Reference:
        Xu et al., LayoutLMv2, 2021, eq. 3. https://arxiv.org/abs/2012.14740
        Tang et al., Unifying Vision, Text, and Layout for Universal Document
        Processing, 2023, and `RelativePositionBiasBase` of the code in transformers.
        https://arxiv.org/abs/2212.02623
    """

    num_heads: int
    num_buckets: int
    max_distance: int
    coordinate: str
    scale: float
    bidirectional: bool
    prefix_rows: bool
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        num_buckets: SupportsIndex,
        max_distance: SupportsIndex,
        *,
        coordinate: str,
        scale: SupportsFloat = 1.0,
        bidirectional: bool = True,
        prefix_rows: bool = False,
        factor: SupportsFloat = 1.0,
    ):
        check_flags(prefix_rows=prefix_rows)
        num_buckets, max_distance = check_buckets(
            num_buckets, max_distance, bidirectional
        )
        coordinate = choice("coordinate", coordinate, (*SIDES, *CENTERS, "position"))
        scale = number("scale", scale, positive=True)
        if coordinate == "position" and scale != 1:
            raise ValueError(f"{scale=} must be 1 for coordinate='position'.")
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            num_buckets=num_buckets,
            max_distance=max_distance,
            coordinate=coordinate,
            scale=scale,
            bidirectional=bool(bidirectional),
            prefix_rows=bool(prefix_rows),
            factor=number("factor", factor),
        )

    @property
    def num_rows(self) -> int:
        """Number of rows of the table."""
        return self.num_buckets + (2 if self.prefix_rows else 0)

    @property
    def _reads(self):
        return {"q": Boxes(), "k": Boxes()}

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params, argument="params"):
        check_bias_table(params, self.num_rows, self.num_heads, argument)

    def _tokens(self, boxes, positions):
        """What is measured of each token, and whether it is in front of the page."""
        if self.coordinate == "position":
            measured = positions
        elif self.coordinate in SIDES:
            measured = boxes[..., SIDES.index(self.coordinate)]
        else:
            axis = CENTERS.index(self.coordinate)
            measured = center(boxes[..., axis], boxes[..., axis + 2])
        return (measured, boxes[..., 1] < 0) if self.prefix_rows else (measured,)

    def _row(self, q, k):
        rows = relative_position_bucket(
            steps_between(q[0], k[0], self.scale),
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )
        if not self.prefix_rows:
            return rows
        xp = np if isinstance(rows, np.ndarray) else jnp
        across = xp.where(q[1], np.int32(0), np.int32(1)) + np.int32(self.num_buckets)
        return xp.where(q[1] != k[1], across, rows)

    def _of_tokens(self, pairs, content):
        return self._tokens(content.q, pairs.q), self._tokens(content.k, pairs.k)

    def _matrix(self, params, pairs, content, dtype):
        rows = of_pairs(self._row, *self._of_tokens(pairs, content))
        biases = matrix_by_row(params.table, rows, dtype, factor=self.factor)
        return with_batch_of(pairs, biases)

    def _score(self, params, pairs, content):
        q, k = self._of_tokens(pairs, content)
        if any(is_wider_than_jax(x[0]) for x in (q, k)):
            row = entry_at(jnp.asarray(of_pairs(self._row, q, k)), 2)
        else:
            row = of_pair_at(self._row, q, k)

        def bias(batch, head, q_index, k_index):
            row_of_pair = row(batch, q_index, k_index)
            return self.factor * bias_at(params.table, row_of_pair, head)

        return bias
