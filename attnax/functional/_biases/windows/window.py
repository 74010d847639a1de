"""The relative position bias of windows: the tables of Swin and BEiT."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp

from ...._checks import grid_sizes, integer, positive_integer
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.by_row import matrix_by_row, row_at
from ..core.record import PositionBias, set_fields
from ..core.spread import spread
from ..core.table import bias_at, check_bias_table, draw_table
from .window_index import window_index


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class WindowBias(PositionBias):
    """A table of biases for the tokens of a window, one row per difference of places.

    Positions are the numbers of the tokens: the prefix tokens first, then the places of
    the window row by row.

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
        Liu et al., Swin Transformer, 2021, eq. 4. https://arxiv.org/abs/2103.14030
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
        return math.prod(2 * n - 1 for n in self.window) + prefix

    @property
    def _bounds(self):
        return 0, self.num_tokens

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params):
        check_bias_table(params, self.num_rows, self.num_heads)

    def _matrix(self, params, pairs, content, dtype):
        if pairs.all_of(self.num_tokens):
            return self._whole(params.table, dtype)
        return matrix_by_row(params.table, self._rows(pairs.q, pairs.k), pairs, dtype)

    def _rows(self, q, k):
        index = window_index(self.window, num_prefix_tokens=self.num_prefix_tokens)
        return jnp.asarray(index).at[q[..., :, None], k[..., None, :]].get(mode="clip")

    def _whole(self, table, dtype):
        """The biases of all tokens, which the diagonals of both axes hold."""
        table = jnp.asarray(table).astype(compute_dtype(table.dtype)).T
        sizes = tuple(2 * n - 1 for n in self.window)
        axes = tuple(range(-len(sizes), 0))
        # Rows are numbered by the place of the query minus that of the key.
        places = jnp.flip(table[:, : math.prod(sizes)].reshape(-1, *sizes), axes)
        places = spread(places, self.window, self.window, dtype)
        count, prefix = math.prod(self.window), self.num_prefix_tokens
        places = places.reshape(-1, count, count)
        if not prefix:
            return places
        to_place, to_prefix, both = (
            table[:, -3:, None, None].astype(dtype).swapaxes(0, 1)
        )
        above = _side_by_side(both, (prefix, prefix), to_place, (prefix, count))
        below = [jnp.broadcast_to(to_prefix, (*places.shape[:-1], prefix)), places]
        return jnp.concatenate([above, jnp.concatenate(below, -1)], -2)

    def _score(self, params, pairs, content):
        rows = self._rows(pairs.q, pairs.k)
        at = row_at(rows)
        return lambda batch, head, q, k: bias_at(params.table, at(batch, q, k), head)


def _side_by_side(left, left_shape, right, right_shape):
    heads = left.shape[0]
    parts = [
        jnp.broadcast_to(left, (heads, *left_shape)),
        jnp.broadcast_to(right, (heads, *right_shape)),
    ]
    return jnp.concatenate(parts, -1)
