"""Disentangled attention of DeBERTa: content with positions, positions with content."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...._checks import (
    check_flags,
    check_params,
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
from .disentangled_bucket import check_log_buckets, disentangled_bucket


class DisentangledParams(NamedTuple):
    """Parameters of disentangled attention: a projected table for each of its terms.

    `project_relative_table` makes them from the table and the projections of a model.

    Attributes:
        keys: What queries meet, the table by the projection of the keys. `None` for a
            bias without `content_to_position`.
        queries: What keys meet, the table by the projection of the queries. `None` for
            a bias without `position_to_content`.
    """

    keys: Float[Array, "num_rows num_heads head_dim"] | None
    queries: Float[Array, "num_rows num_heads head_dim"] | None


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class DisentangledBias(PositionBias):
    """Disentangled attention: queries and keys meet rows of a table by their distance.

    The bias of the query `q` and the key `k` at the distance `d` is
    `factor * (q . keys[row(d)] + k . queries[row(d)])`. Without buckets, `row(d)` is
    `max_distance - d`, cut to the `2 * max_distance` rows of the table. With buckets,
    it is `disentangled_bucket(d)`, of `2 * num_buckets` rows.

    DeBERTa, its later versions and SEW-D have it. They scale the product of queries and
    keys by `factor` too, so attention with this bias takes `scale=bias.factor`.

    Args:
        num_heads: Number of heads. Positive.
        head_dim: Width of a query or a key of one head. Positive.
        max_distance: Distance from which on all distances of one direction share a
            row. Positive.
        num_buckets: Number of buckets of one direction, see `disentangled_bucket`.
            `None` for a row for each distance.
        content_to_position: Whether queries meet the table, "c2p" in configs.
        position_to_content: Whether keys meet the table, "p2c" in configs.
        factor: Factor on the sum. By default `(head_dim * terms) ** -0.5`, where
            `terms` are those two and the product of queries and keys.

    Raises:
        ValueError: If a setting is out of its range, or there is neither term.

    Example:
        >>> deberta = DisentangledBias(12, 64, max_distance=512)
        >>> deberta_v3 = DisentangledBias(12, 64, max_distance=512, num_buckets=256)
        >>> deberta.num_rows, deberta_v3.num_rows
        (1024, 512)

    Reference:
        He et al., DeBERTa: Decoding-enhanced BERT with Disentangled Attention, 2020,
        eq. 4. https://arxiv.org/abs/2006.03654. That equation gives the third term
        the row of `-d`; the released code gives it `row(d)`, as here.
    """

    num_heads: int
    head_dim: int
    max_distance: int
    num_buckets: int | None
    content_to_position: bool
    position_to_content: bool
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        head_dim: SupportsIndex,
        *,
        max_distance: SupportsIndex,
        num_buckets: SupportsIndex | None = None,
        content_to_position: bool = True,
        position_to_content: bool = True,
        factor: SupportsFloat | None = None,
    ):
        terms = {
            "content_to_position": content_to_position,
            "position_to_content": position_to_content,
        }
        check_flags(**terms)
        if not any(terms.values()):
            raise ValueError(
                f"{content_to_position=} or {position_to_content=} must be True."
            )
        head_dim = positive_integer("head_dim", head_dim)
        if num_buckets is None:
            max_distance = integer("max_distance", max_distance, 1, 2**30)
        else:
            num_buckets, max_distance = check_log_buckets(num_buckets, max_distance)
        usual = (head_dim * (1 + sum(map(bool, terms.values())))) ** -0.5
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            head_dim=head_dim,
            max_distance=max_distance,
            num_buckets=num_buckets,
            **{name: bool(term) for name, term in terms.items()},
            factor=usual if factor is None else number("factor", factor),
        )

    @property
    def num_rows(self) -> int:
        """Number of rows of the table."""
        return 2 * (self.num_buckets or self.max_distance)

    @property
    def _reads(self):
        vectors = PerHead(self.num_heads, self.head_dim)
        reads = {"q": self.content_to_position, "k": self.position_to_content}
        return {name: vectors for name, read in reads.items() if read}

    @property
    def _shapes(self):
        """The shape of each table by its name, or `None`."""
        shape = self.num_rows, self.num_heads, self.head_dim
        terms = {"keys": self.content_to_position, "queries": self.position_to_content}
        return {name: shape if term else None for name, term in terms.items()}

    def _init(self, key, init_std, dtype):
        keys = zip(jax.random.split(key), self._shapes.items(), strict=True)
        return DisentangledParams(
            **{
                name: shape and draw_normal(key, shape, init_std, dtype)
                for key, (name, shape) in keys
            }
        )

    def _check(self, params, argument="params"):
        check_params(params, DisentangledParams, argument)
        check_shapes(params, self._shapes, argument)

    def _row(self, distance):
        if self.num_buckets is not None:
            return disentangled_bucket(
                distance, num_buckets=self.num_buckets, max_distance=self.max_distance
            )
        xp = np if isinstance(distance, np.ndarray) else jnp
        limit = self.max_distance
        clipped = xp.clip(distance, np.int32(1 - limit), np.int32(limit))
        return np.int32(limit) - clipped

    def _products(self, params, content):
        pairs = ((content.q, params.keys, False), (content.k, params.queries, True))
        return [
            Product(x, self._scaled(rows), of_keys)
            for x, rows, of_keys in pairs
            if x is not None
        ]

    def _scaled(self, rows):
        rows = jnp.swapaxes(jnp.asarray(rows), 0, 1)
        return self.factor * rows.astype(compute_dtype(rows.dtype))

    def _matrix(self, params, pairs, content, dtype):
        products = self._products(params, content)
        biases = sum_of_products(products, self._row, pairs, content.precision)
        return biases.astype(dtype)

    def _score(self, params, pairs, content):
        products = self._products(params, content)
        return sum_of_products_at(products, self._row, pairs, content.precision)
