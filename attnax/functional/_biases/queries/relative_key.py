"""Relative keys of Shaw et al.: a query's product with a key of each distance."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...._checks import (
    INT32_MAX,
    check_flags,
    check_params,
    check_table,
    choice,
    integer,
    number,
    positive_integer,
)
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.content import PerHead
from ..core.parameters import check_shapes, draw_normal
from ..core.products import Product, sum_of_products, sum_of_products_at
from ..core.record import PositionBias, set_fields

_DIRECTIONS = ("key_minus_query", "query_minus_key")


class RelativeKeyParams(NamedTuple):
    """Parameters of relative keys.

    Attributes:
        keys: The key of each distance, which all heads share.
    """

    keys: Float[Array, "num_rows head_dim"]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class RelativeKeyBias(PositionBias):
    """Relative keys: the bias is the product of a query with a key of the distance.

    With `d` the position of a key minus that of a query `q`, and `E` the table of
    `left + 1 + right` keys, the bias is `factor * q . E[row(d)]`. Row 0 is that of
    `d = -left`, or of `d = right` where `direction` is "query_minus_key". A distance
    beyond the table has its last row on that side or, with `zero_outside`, no bias.

    Args:
        num_heads: Number of heads. Positive.
        head_dim: Width of a query of one head. Positive.
        left: Distance of the farthest key before the query that has its own row. Not
            negative.
        right: Distance of the farthest key after the query that has its own row. Not
            negative; `left + 1 + right` lies in int32.
        direction: Which distance the rows are numbered by: "key_minus_query" or
            "query_minus_key".
        zero_outside: Whether pairs that are farther apart have no bias. Otherwise they
            share the row of `left` or `right`.
        with_keys: Whether the product of the key with the same row is added.
        factor: Factor on the products. By default `head_dim ** -0.5`, the usual scale
            of the scores.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> wav2vec2_bert = RelativeKeyBias(16, 64, left=64, right=8)
        >>> speecht5 = RelativeKeyBias(
        ...     12, 64, left=159, right=160, direction="query_minus_key"
        ... )
        >>> vits = RelativeKeyBias(2, 96, left=4, right=4, zero_outside=True)

    Reference:
        Shaw et al., Self-Attention with Relative Position Representations, 2018,
        eq. 4. https://arxiv.org/abs/1803.02155. With `with_keys`: Huang et al.,
        Improve Transformer Models with Better Relative Position Embeddings, 2020,
        method 4. https://arxiv.org/abs/2009.13658
    """

    num_heads: int
    head_dim: int
    left: int
    right: int
    direction: str
    zero_outside: bool
    with_keys: bool
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        head_dim: SupportsIndex,
        *,
        left: SupportsIndex,
        right: SupportsIndex,
        direction: str = "key_minus_query",
        zero_outside: bool = False,
        with_keys: bool = False,
        factor: SupportsFloat | None = None,
    ):
        head_dim = positive_integer("head_dim", head_dim)
        left = integer("left", left, 0, INT32_MAX - 1)
        check_flags(zero_outside=zero_outside, with_keys=with_keys)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            head_dim=head_dim,
            left=left,
            right=integer("right", right, 0, INT32_MAX - 1 - left),
            direction=choice("direction", direction, _DIRECTIONS),
            zero_outside=bool(zero_outside),
            with_keys=bool(with_keys),
            factor=head_dim**-0.5 if factor is None else number("factor", factor),
        )

    @property
    def num_rows(self) -> int:
        """Number of rows of the table."""
        return self.left + 1 + self.right

    @property
    def _reads(self):
        vectors = PerHead(self.num_heads, self.head_dim)
        return {"q": vectors, "k": vectors} if self.with_keys else {"q": vectors}

    def _init(self, key, init_std, dtype):
        return RelativeKeyParams(
            keys=draw_normal(key, (self.num_rows, self.head_dim), init_std, dtype)
        )

    def _check(self, params, argument="params"):
        check_params(params, RelativeKeyParams, argument)
        check_rows_of(self, f"{argument}.keys", params.keys)
        check_shapes(params, {"keys": (self.num_rows, self.head_dim)}, argument)

    def _row(self, distance):
        xp = np if isinstance(distance, np.ndarray) else jnp
        left, right = np.int32(self.left), np.int32(self.right)
        clipped = xp.clip(distance, -left, right)
        ascending = self.direction == "key_minus_query"
        rows = clipped + left if ascending else right - clipped
        if self.zero_outside:
            rows = xp.where(clipped == distance, rows, np.int32(self.num_rows))
        return rows

    def _products(self, params, content):
        keys = jnp.asarray(params.keys)
        rows = self.factor * keys.astype(compute_dtype(keys.dtype))[None]
        products = [Product(content.q, rows)]
        if self.with_keys:
            products.append(Product(content.k, rows, of_keys=True))
        return products

    def _matrix(self, params, pairs, content, dtype):
        products = self._products(params, content)
        biases = sum_of_products(products, self._row, pairs, content.precision)
        return biases.astype(dtype)

    def _score(self, params, pairs, content):
        products = self._products(params, content)
        return sum_of_products_at(products, self._row, pairs, content.precision)


def check_rows_of(bias, name, table) -> None:
    """Raises unless a table has a row for each distance of `bias`."""
    check_table(name, table)
    if table.shape[0] != bias.num_rows:
        raise ValueError(
            f"{name}.shape={table.shape} must have num_rows={bias.num_rows} rows, "
            "which are left + 1 + right of the bias."
        )
