"""FIRE: a small network of the distance relative to the position of the query."""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ...._checks import (
    FLOAT32_MAX,
    FLOAT32_TINY,
    check_params,
    number,
    positive_integer,
)
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.by_distance import distance_at, query_at
from ..core.by_query import map_queries
from ..core.distances import length_of
from ..core.parameters import check_shapes
from ..core.record import PositionBias, set_fields
from ..core.spread import spread


class FireBiasParams(NamedTuple):
    """Parameters of FIRE.

    Attributes:
        c: Factor of the distance in the logarithms.
        multiplier: Factor of the record's `length`.
        hidden_weight: Weight of each hidden unit, the `weight[:, 0]` of torch.
        hidden_bias: Bias of each hidden unit.
        weight: Weights from hidden units to heads, the transpose of torch's `weight`.
        bias: Bias of each head.
    """

    c: Float[Array, ""]
    multiplier: Float[Array, ""]
    hidden_weight: Float[Array, " num_hidden"]
    hidden_bias: Float[Array, " num_hidden"]
    weight: Float[Array, "num_hidden num_heads"]
    bias: Float[Array, " num_heads"]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class FireBias(PositionBias):
    """FIRE's position bias: a network of the distance relative to the query's position.

    For a query at `i` and a key at `j`, it is `f(x)` with
    `x = ln(1 + |c (i - j)|) / (ln(1 + |c max(i, threshold)|) + eps)`, where `threshold`
    is `|multiplier * length|`, `c` and `multiplier` are learned, and `f` is a learned
    network with one hidden layer of ReLUs and one output for each head.

    The bias depends on the position of the query, and not on the distance alone:
    positions count from 0 at the first token of a sequence, in packed documents and
    behind left padding too. Where all queries stand within the threshold, one value for
    each distance is computed, and not one for each pair.

    `init_position_bias` draws parameters as the paper's listing does, whatever
    `init_std`: `c` is 0.1, `multiplier` is 1, and the network is drawn as torch draws
    linear layers.

    Args:
        num_heads: Number of heads. Positive.
        length: Threshold in positions before training. Finite and positive.
        num_hidden: Number of hidden units. Positive.
        eps: What is added to the denominator. Positive, and a normal number in float32.
        factor: Factor on the biases, for models that divide the sum of scores and
            biases. Finite.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> FireBias(12)
        FireBias(num_heads=12, length=512.0, num_hidden=32, eps=1e-06, factor=1.0)

    Reference:
        Li et al., Functional Interpolation for Relative Positions Improves Long
        Context Transformers, 2024, the section on FIRE and the listing of the appendix.
        https://arxiv.org/abs/2310.04418
    """

    num_heads: int
    length: float
    num_hidden: int
    eps: float
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        *,
        length: SupportsFloat = 512.0,
        num_hidden: SupportsIndex = 32,
        eps: SupportsFloat = 1e-6,
        factor: SupportsFloat = 1.0,
    ):
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            length=number("length", length, positive=True),
            num_hidden=positive_integer("num_hidden", num_hidden),
            eps=number("eps", eps, FLOAT32_TINY, FLOAT32_MAX),
            factor=number("factor", factor),
        )

    @property
    def _shapes(self):
        """The shape of each field of the parameters."""
        hidden, heads = self.num_hidden, self.num_heads
        shapes = ((), (), (hidden,), (hidden,), (hidden, heads), (heads,))
        return dict(zip(FireBiasParams._fields, shapes, strict=True))

    def _init(self, key, init_std, dtype):
        keys, wide = jax.random.split(key, 4), compute_dtype(dtype)
        # A linear layer of torch: uniform, up to one over the root of its inputs.
        limits = (1.0, 1.0, *(self.num_hidden**-0.5,) * 2)
        shapes = tuple(self._shapes.values())[2:]
        drawn = (
            jax.random.uniform(key, shape, wide, -limit, limit).astype(dtype)
            for key, limit, shape in zip(keys, limits, shapes, strict=True)
        )
        return FireBiasParams(jnp.asarray(0.1, dtype), jnp.ones((), dtype), *drawn)

    def _check(self, params, argument="params"):
        check_params(params, FireBiasParams, argument)
        check_shapes(params, self._shapes, argument)

    def _matrix(self, params, pairs, content, dtype):
        params = _wide(params)
        by_query = partial(self._by_query, params, pairs, content.precision, dtype)
        if pairs.offset is None:
            return by_query()
        last = jnp.asarray(pairs.first_q + pairs.lengths[0] - 1, params.c.dtype)
        return lax.cond(
            last <= self._threshold(params),
            partial(self._by_distance, params, pairs, content.precision, dtype),
            jax.checkpoint(by_query),
        )

    def _by_distance(self, params, pairs, precision, dtype):
        """The biases of pairs whose queries all stand within the threshold."""
        ratio = self._ratio(params, pairs.diagonal_distances(), np.int32(0))
        values = jnp.moveaxis(self._network(params, ratio, precision), -1, 0)
        q_len, k_len = pairs.lengths
        return spread(values, (q_len,), (k_len,), dtype)

    def _by_query(self, params, pairs, precision, dtype):
        """The biases of any pairs, a few queries at a time."""

        @jax.checkpoint
        def of_query(distance_and_query):
            distance, query = distance_and_query
            ratio = self._ratio(params, distance, query[..., None])
            return self._network(params, ratio, precision).astype(dtype)

        distances = jnp.moveaxis(pairs.distances(), -2, 0)
        queries = jnp.broadcast_to(pairs.q, (*pairs.batch, pairs.lengths[0]))
        queries = jnp.moveaxis(queries, -1, 0)
        biases = map_queries(of_query, (distances, queries))
        return jnp.moveaxis(biases, (0, -1), (-2, -3))

    def _threshold(self, params):
        return jnp.abs(params.multiplier * self.length)

    def _ratio(self, params, distance, query):
        dtype = params.c.dtype
        size = length_of(distance).astype(dtype)
        query, threshold = jnp.asarray(query).astype(dtype), self._threshold(params)
        reach = jnp.where(query > threshold, query, threshold)
        return self._log(params, size) / (self._log(params, reach) + self.eps)

    def _log(self, params, size):
        return jnp.log1p(jnp.abs(params.c * size))

    def _network(self, params, x, precision):
        """The outputs for every head, `(*x, num_heads)`."""
        hidden = jax.nn.relu(_outer(x, params.hidden_weight, params.hidden_bias))
        # The numbers are logarithms of positions, which need their float32.
        precision = lax.Precision.HIGHEST if precision is None else precision
        out = jnp.einsum("...n,nh->...h", hidden, params.weight, precision=precision)
        bias = params.bias.reshape((1,) * x.ndim + (-1,))
        return self.factor * (out + bias)

    def _score(self, params, pairs, content):
        params = _wide(params)
        distance, query = distance_at(pairs), query_at(pairs)

        def bias(batch, head, q_index, k_index):
            at = (batch, q_index, k_index)
            x, out = self._ratio(params, distance(*at), query(*at)), params.bias[head]
            for n in range(self.num_hidden):
                hidden = x * params.hidden_weight[n] + params.hidden_bias[n]
                out = out + jax.nn.relu(hidden) * params.weight[n, head]
            return self.factor * out

        return bias


def _outer(x, weight, bias):
    of_unit = (1,) * x.ndim + (-1,)
    return x[..., None] * weight.reshape(of_unit) + bias.reshape(of_unit)


def _wide(params):
    dtype = compute_dtype(*(t.dtype for t in params))
    return FireBiasParams(*(jnp.asarray(t, dtype) for t in params))
