"""The relative position bias of windows: the tables of Swin and BEiT."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import jax

from ...._checks import grid_sizes, integer, positive_integer
from ...._public import public
from ..core.record import PositionBias, set_fields
from ..core.table import check_bias_table, draw_table
from .by_difference import matrix_by_difference, score_by_difference
from .places import sizes_of


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class WindowBias(PositionBias):
    """A table of biases for the tokens of a window, one row per difference of places.

    Positions are the numbers of the tokens: the prefix tokens first, then the places of
    the window row by row. `window_index` says which row a pair has. All windows of an
    image share the bias, those of a shifted grid too; the mask between parts of a
    shifted window is the caller's. The bias is added to the scaled scores.

    BEiT may have a table for each layer, one that all layers share, or both: then its
    bias is the sum of both biases.

    Args:
        num_heads: Number of heads. Positive.
        window: `(rows, columns)` or `(frames, rows, columns)`, positive integers.
        num_prefix_tokens: Number of tokens in front of the window, such as the class
            token of BEiT. Not negative.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> WindowBias(3, (7, 7))
        WindowBias(num_heads=3, window=(7, 7), num_prefix_tokens=0)

    Reference:
        Liu et al., Swin Transformer, 2021, eq. 4. https://arxiv.org/abs/2103.14030;
        Liu et al., Video Swin Transformer, 2022, section 3.2.
        https://arxiv.org/abs/2106.13230; Bao et al., BEiT, 2022, section 2.3.
        https://arxiv.org/abs/2106.08254
    """

    num_heads: int
    window: tuple[int, ...]
    num_prefix_tokens: int

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        window: Sequence[SupportsIndex],
        *,
        num_prefix_tokens: SupportsIndex = 0,
    ):
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            window=grid_sizes("window", window, most_axes=3),
            num_prefix_tokens=integer("num_prefix_tokens", num_prefix_tokens, 0),
        )

    @property
    def num_tokens(self) -> int:
        """Number of tokens, prefix tokens included."""
        return self.num_prefix_tokens + math.prod(self.window)

    @property
    def num_rows(self) -> int:
        """Number of rows of the table."""
        prefix = 3 if self.num_prefix_tokens else 0
        return math.prod(sizes_of(self.window)) + prefix

    @property
    def _bounds(self):
        return 0, self.num_tokens

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params, argument="params"):
        check_bias_table(params, self.num_rows, self.num_heads, argument)

    def _matrix(self, params, pairs, content, dtype):
        return matrix_by_difference(
            params.table, self.window, self.num_prefix_tokens, pairs, dtype
        )

    def _score(self, params, pairs, content):
        return score_by_difference(
            params.table, self.window, self.num_prefix_tokens, pairs
        )
