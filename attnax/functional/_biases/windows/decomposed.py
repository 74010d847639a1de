"""Decomposed biases: products of a query with a row for each axis of a grid."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...._checks import (
    check_params,
    check_table,
    grid_sizes,
    integer,
    positive_integer,
)
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.channels import product_channels
from ..core.content import PerHead
from ..core.distances import of_rank
from ..core.entries import entry_at
from ..core.parameters import draw_normal
from ..core.products import products_at
from ..core.record import PositionBias, set_fields
from .axis_products import axis_products, coordinates_of
from .separable import resized_rows


class DecomposedBiasParams(NamedTuple):
    """Parameters of a decomposed bias.

    Attributes:
        tables: A table for each axis of the grid, that of the rows first, with a vector
            for each difference of places along the axis.
    """

    tables: tuple[Float[Array, "num_differences head_dim"], ...]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class DecomposedBias(PositionBias):
    """Products of a query with a row for each axis of a grid, as MViTv2 and SAM add.

    The bias of the query at `(i, j)` and the key at `(k, l)` is
    `q . tables[0][i - k + rows - 1] + q . tables[1][j - l + columns - 1]`. The query is
    the projected one, before it is multiplied by the scale of the scores, and the bias
    is added to the scaled scores. All heads share the tables.

    Positions are the numbers of the tokens: the prefix tokens first, then the places of
    the grid row by row. Biases of prefix tokens are zero. Queries and keys may have
    different grids, as where MViTv2 pools; then the shorter axis steps further, and the
    row is `floor(i * max(k / q, 1) + (k - 1 - j) * max(q / k, 1))` for axes of `q` and
    `k` places. A table needs `2 * max(q, k) - 1` rows; one with another number is
    resized by linear interpolation, as MViTv2, ViTDet and SAM do for images of another
    size.

    Args:
        num_heads: Number of heads. Positive.
        head_dim: Width of queries. Positive.
        q_grid: `(rows, columns)` or `(frames, rows, columns)` of the queries, positive
            integers.
        k_grid: `(rows, columns)` or `(frames, rows, columns)` of the keys. `None`
            stands for `q_grid`.
        num_prefix_tokens: Number of tokens in front of both grids, such as the class
            token of MViTv2. Not negative.

    Raises:
        ValueError: If a setting is out of its range, or the grids have not the same
            number of axes.

    Example:
        >>> DecomposedBias(12, 64, (14, 14)).k_grid
        (14, 14)

    Reference:
        Li et al., MViTv2, 2022, eq. 4. https://arxiv.org/abs/2112.01526
    """

    num_heads: int
    head_dim: int
    q_grid: tuple[int, ...]
    k_grid: tuple[int, ...]
    num_prefix_tokens: int

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        head_dim: SupportsIndex,
        q_grid: Sequence[SupportsIndex],
        k_grid: Sequence[SupportsIndex] | None = None,
        *,
        num_prefix_tokens: SupportsIndex = 0,
    ):
        q_grid = grid_sizes("q_grid", q_grid, most_axes=3)
        if k_grid is None:
            k_grid = q_grid
        k_grid = grid_sizes("k_grid", k_grid, most_axes=3)
        if len(q_grid) != len(k_grid):
            raise ValueError(f"{k_grid=} must have as many axes as {q_grid=}.")
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            head_dim=positive_integer("head_dim", head_dim),
            q_grid=q_grid,
            k_grid=k_grid,
            num_prefix_tokens=integer("num_prefix_tokens", num_prefix_tokens, 0),
        )

    @property
    def num_queries(self) -> int:
        """Number of queries, prefix tokens included."""
        return self.num_prefix_tokens + math.prod(self.q_grid)

    @property
    def num_keys(self) -> int:
        """Number of keys, prefix tokens included."""
        return self.num_prefix_tokens + math.prod(self.k_grid)

    @property
    def num_rows(self) -> tuple[int, ...]:
        """Number of rows of the table of each axis."""
        sides = zip(self.q_grid, self.k_grid, strict=True)
        return tuple(2 * max(side) - 1 for side in sides)

    @property
    def _bounds(self):
        return 0, self.num_queries

    @property
    def _k_bounds(self):
        return 0, self.num_keys

    @property
    def _reads(self):
        return {"q": PerHead(self.num_heads, self.head_dim)}

    def _init(self, key, init_std, dtype):
        keys = jax.random.split(key, len(self.num_rows))
        tables = (
            draw_normal(key, (num_rows, self.head_dim), init_std, dtype)
            for key, num_rows in zip(keys, self.num_rows, strict=True)
        )
        return DecomposedBiasParams(tables=tuple(tables))

    def _check(self, params, argument="params"):
        check_params(params, DecomposedBiasParams, argument)
        if len(params.tables) != len(self.q_grid):
            raise ValueError(
                f"{argument}.tables has {len(params.tables)} tables, but must have "
                f"{len(self.q_grid)}, one for each axis of the grid."
            )
        for axis, table in enumerate(params.tables):
            name = f"{argument}.tables[{axis}]"
            check_table(name, table)
            if table.shape[1] != self.head_dim:
                raise ValueError(
                    f"{name}.shape={table.shape} must be (num_differences, "
                    f"{self.head_dim}), with head_dim={self.head_dim} of the bias."
                )

    def _matrix(self, params, pairs, content, dtype):
        products = self._products(params, pairs, content)
        if pairs.all_of(self.num_queries, self.num_keys):
            return self._of_all_keys(products).astype(dtype)
        on_grid, coordinates = self._of_keys(pairs.k)
        parts = [
            products_at(of_axis, along[..., None, :])
            for of_axis, along in zip(products, coordinates, strict=True)
        ]
        biases = functools.reduce(jnp.add, parts)
        if self.num_prefix_tokens:
            on_grid = of_rank(on_grid[..., None, None, :], biases.ndim)
            biases = jnp.where(on_grid, biases, jnp.zeros_like(biases))
        return biases.astype(dtype)

    def _score(self, params, pairs, content):
        ends = [entry_at(p, 3) for p in self._products(params, pairs, content)]
        on_grid, coordinates = self._of_keys(pairs.k)
        on_grid, along = entry_at(on_grid, 1), [entry_at(c, 1) for c in coordinates]

        def bias(batch, head, q_index, k_index):
            parts = [
                end(batch, head, q_index, at(batch, k_index))
                for end, at in zip(ends, along, strict=True)
            ]
            total = functools.reduce(jnp.add, parts)
            if not self.num_prefix_tokens:
                return total
            return jnp.where(on_grid(batch, k_index), total, jnp.zeros_like(total))

        return bias

    def _channels(self, params, pairs, content, kernel):
        """A channel of queries and keys for each place of each axis.

        Those of queries are products, and those of keys are 1 where the key stands.
        """
        products = self._products(params, pairs, content)
        on_grid, coordinates = self._of_keys(pairs.k)
        ones = [
            jax.nn.one_hot(jnp.where(on_grid, along, -1), side, dtype=kernel.dtype)
            for along, side in zip(coordinates, self.k_grid, strict=True)
        ]
        keys = jnp.concatenate(ones, -1)[..., None, :, :]
        queries = jnp.concatenate(products, -1)
        return product_channels(queries, keys, kernel, exact_keys=True)

    def _products(self, params, pairs, content):
        """The products of each query with the rows of every place along each axis."""
        wide = compute_dtype(content.q.dtype, *(t.dtype for t in params.tables))
        tables = [
            resized_rows(jnp.asarray(table, wide), num_rows)
            for table, num_rows in zip(params.tables, self.num_rows, strict=True)
        ]
        return axis_products(self, tables, pairs, content)

    def _of_keys(self, positions):
        """Whether each key stands on the grid, and its coordinates along the axes."""
        return coordinates_of(positions, self.k_grid, self.num_prefix_tokens)

    def _of_all_keys(self, products):
        """The sums of the products of all axes, for all keys in order."""
        parts = []
        for axis, product in enumerate(products):
            shape = [1] * len(self.k_grid)
            shape[axis] = self.k_grid[axis]
            parts.append(product.reshape(*product.shape[:-1], *shape))
        total = functools.reduce(jnp.add, parts)
        total = total.reshape(*total.shape[: -len(self.k_grid)], math.prod(self.k_grid))
        prefix = [(0, 0)] * (total.ndim - 1) + [(self.num_prefix_tokens, 0)]
        return jnp.pad(total, prefix)
