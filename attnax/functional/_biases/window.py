"""The relative position bias of windows: Swin's table, and BEiT's with its class token."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsIndex

import jax
import jax.numpy as jnp

from ..._checks import grid_sizes, integer, positive_integer
from ..._public import public
from .record import set_fields
from .spread import spread
from .table import bias_at, biases_at, check_bias_table, draw_table
from .window_index import window_index


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class WindowBias:
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

    def _init(self, key, init_std, dtype):
        return draw_table(key, self.num_rows, self.num_heads, init_std, dtype)

    def _check(self, params):
        check_bias_table(params, self.num_rows, self.num_heads)

    def _index(self):
        return window_index(self.window, num_prefix_tokens=self.num_prefix_tokens)
