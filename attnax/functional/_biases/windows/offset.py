"""The attention biases of LeViT: a table by the sizes of differences of places."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp

from ...._checks import grid_sizes, positive_integer
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.record import PositionBias, set_fields
from ..core.table import check_bias_table, draw_table
from .by_difference import matrix_by_difference, score_by_difference
from .places import sizes_of


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class OffsetBias(PositionBias):
    """A table of biases by how many rows and columns lie between a query and a key.

    LeViT, TinyViT and EfficientFormer have it: the bias is the same on both sides of a
    query. Positions are the numbers of the places of the window, row by row. Where only
    every second row and column asks, as between the stages of LeViT, queries have the
    numbers of the places that ask: `0, 2, ..., 2 * columns, ...`. The bias is added to
    the scaled scores.

    The table has a row for each place of the window, as `offset_index` numbers them.
    Checkpoints hold it as `(num_heads, num_rows)`: transpose it.

    Args:
        num_heads: Number of heads. Positive.
        window: `(rows, columns)` of the keys, positive integers.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> OffsetBias(4, (14, 14))
        OffsetBias(num_heads=4, window=(14, 14))

    Reference:
        Graham et al., LeViT, 2021, section 4.2, eq. 1.
        https://arxiv.org/abs/2104.01136
    """

    num_heads: int
    window: tuple[int, ...]

    @public
    def __init__(self, num_heads: SupportsIndex, window: Sequence[SupportsIndex]):
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            window=grid_sizes("window", window),
        )

    @property
    def num_rows(self) -> int:
        """Number of rows of the table, which is the number of tokens."""
        return math.prod(self.window)

    @property
    def _bounds(self):
        return 0, self.num_rows

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params, argument="params"):
        check_bias_table(params, self.num_rows, self.num_heads, argument)

    def _matrix(self, params, pairs, content, dtype):
        table = self._by_difference(params.table)
        return matrix_by_difference(table, self.window, 0, pairs, dtype)

    def _score(self, params, pairs, content):
        table = self._by_difference(params.table)
        return score_by_difference(table, self.window, 0, pairs)

    def _by_difference(self, table):
        """The table with a row for each difference, so that four rows may be equal."""
        table = jnp.asarray(table)
        table = table.astype(compute_dtype(table.dtype))
        grid = table.reshape(*self.window, self.num_heads)
        for axis, size in enumerate(self.window):
            beyond = jax.lax.slice_in_dim(grid, 1, size, axis=axis)
            grid = jnp.concatenate([jnp.flip(beyond, axis), grid], axis)
        return grid.reshape(math.prod(sizes_of(self.window)), self.num_heads)
