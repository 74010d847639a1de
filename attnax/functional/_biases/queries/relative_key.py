"""Relative keys of Shaw et al.: a query's product with a key of each distance."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...._checks import INT32_MAX, check_table, integer, number, positive_integer
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.content import PerHead
from ..core.products import products_by_distance
from ..core.record import PositionBias, set_fields


class RelativeKeyParams(NamedTuple):
    """Parameters of relative keys.

    Attributes:
        keys: The key of each clipped distance, for every head.
    """

    keys: Float[Array, "num_rows head_dim"]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class RelativeKeyBias(PositionBias):
    """Relative keys: the bias is the product of a query with a key of the distance.

    Distances, the position of the key minus that of the query, are clipped to
    `[-left, right]`.
    """

    num_heads: int
    head_dim: int
    left: int
    right: int
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        head_dim: SupportsIndex,
        *,
        left: SupportsIndex,
        right: SupportsIndex,
        factor: SupportsFloat | None = None,
    ):
        head_dim = positive_integer("head_dim", head_dim)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            head_dim=head_dim,
            left=integer("left", left, 0, INT32_MAX),
            right=integer("right", right, 0, INT32_MAX),
            factor=head_dim**-0.5 if factor is None else number("factor", factor),
        )

    @property
    def _reads(self):
        return {"q": PerHead(self.num_heads, self.head_dim)}

    @property
    def _num_rows(self):
        return self.left + 1 + self.right

    def _init(self, key, init_std, dtype):
        keys = jax.random.normal(
            key, (self._num_rows, self.head_dim), compute_dtype(dtype)
        )
        return RelativeKeyParams(keys=(init_std * keys).astype(dtype))

    def _check(self, params):
        check_table("params.keys", params.keys)

    def _row(self, distance):
        return jnp.clip(distance, -self.left, self.right) + self.left

    def _rows(self, params):
        keys = jnp.asarray(params.keys)
        return self.factor * keys.astype(compute_dtype(keys.dtype))[None]

    def _matrix(self, params, pairs, content, dtype):
        return products_by_distance(
            content.q, self._rows(params), self._row, pairs, content.precision
        ).astype(dtype)
