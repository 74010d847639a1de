"""Biases of buckets that each query's hidden state makes: ProphetNet."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...._checks import check_params, positive_integer
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.by_distance import distance_at
from ..core.content import PerToken
from ..core.distances import of_rank
from ..core.entries import entry_at
from ..core.parameters import check_shapes, draw_normal
from ..core.products import products_at
from ..core.record import PositionBias, set_fields
from .t5_bucket import check_buckets, relative_position_bucket


class HiddenStateBiasParams(NamedTuple):
    """Parameters of biases that hidden states make.

    Attributes:
        weight: Linear map of a hidden state to the bias of each bucket and head.
        bias: Offset of that map.
    """

    weight: Float[Array, "d_model num_buckets num_heads"]
    bias: Float[Array, "num_buckets num_heads"]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class HiddenStateBias(PositionBias):
    """A bias of buckets of distances that a linear map makes of the hidden state.

    `q` of `apply_position_bias` are the hidden states of the queries that enter the
    attention, `(*batch, q_len, d_model)`. The bias of a query and a key is the output
    of the map for the bucket of their distance. Parameters are a
    `HiddenStateBiasParams`.

    ProphetNet's decoder has this bias. Its streams that predict have two runs of keys:
    those of the main stream, whose positions are one less, and the stream's own ones.

    Args:
        num_heads: Number of heads. Positive.
        d_model: Width of the hidden states. Positive.
        num_buckets: Number of buckets, see `relative_position_bucket`.
        max_distance: Distance from which on all distances share a bucket.
        bidirectional: Whether keys after the query have buckets of their own.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> bias = HiddenStateBias(2, 8)
        >>> params = init_position_bias(jax.random.key(0), bias)
        >>> x = jnp.ones((3, 8))
        >>> apply_position_bias(bias, params, range(3), range(5), q=x).shape
        (2, 3, 5)

    Reference:
        Qi et al., ProphetNet, 2020, and `ngram_relative_logits` of its code.
        https://arxiv.org/abs/2001.04063
    """

    num_heads: int
    d_model: int
    num_buckets: int
    max_distance: int
    bidirectional: bool

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        d_model: SupportsIndex,
        num_buckets: SupportsIndex = 32,
        max_distance: SupportsIndex = 128,
        *,
        bidirectional: bool = False,
    ):
        num_buckets, max_distance = check_buckets(
            num_buckets, max_distance, bidirectional
        )
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            d_model=positive_integer("d_model", d_model),
            num_buckets=num_buckets,
            max_distance=max_distance,
            bidirectional=bool(bidirectional),
        )

    @property
    def _reads(self):
        return {"q": PerToken(self.d_model)}

    @property
    def _shapes(self):
        """The shape of each field of the parameters."""
        shape = self.num_buckets, self.num_heads
        return {"weight": (self.d_model, *shape), "bias": shape}

    def _init(self, key, init_std, dtype):
        return HiddenStateBiasParams(
            weight=draw_normal(key, self._shapes["weight"], init_std, dtype),
            bias=jnp.zeros(self._shapes["bias"], dtype),
        )

    def _check(self, params, argument="params"):
        check_params(params, HiddenStateBiasParams, argument)
        check_shapes(params, self._shapes, argument)

    def _bucket(self, distance):
        return relative_position_bucket(
            distance,
            num_buckets=self.num_buckets,
            max_distance=self.max_distance,
            bidirectional=self.bidirectional,
        )

    def _of_buckets(self, params, content):
        """The bias of each head, query and bucket."""
        dtype = compute_dtype(content.q.dtype, *(leaf.dtype for leaf in params))
        x, weight, bias = (jnp.asarray(t, dtype) for t in (content.q, *params))
        rows = jnp.einsum("...qd,dnh->...hqn", x, weight, precision=content.precision)
        return rows + of_rank(bias.T[:, None], rows.ndim)

    def _matrix(self, params, pairs, content, dtype):
        rows = self._of_buckets(params, content)
        biases = products_at(rows, self._bucket(pairs.distances()))
        return biases.astype(dtype)

    def _score(self, params, pairs, content):
        row = entry_at(self._of_buckets(params, content), 3)
        distance = distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            bucket = self._bucket(distance(batch, q_index, k_index))
            return row(batch, head, q_index, bucket)

        return bias
