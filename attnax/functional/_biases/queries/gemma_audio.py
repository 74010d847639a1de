"""The position bias of Gemma's audio towers: sinusoids of the distance near a query."""

import math
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...._checks import INT32_MAX, check_params, integer
from ...._public import public
from ..core.by_distance import distance_at
from ..core.content import PerHead, in_one_dtype
from ..core.distances import of_rank
from ..core.parameters import check_shapes, draw
from ..core.record import PositionBias, set_fields
from .distance_sinusoids import (
    checked_sizes,
    sinusoid_products,
    sinusoid_products_at,
    sinusoids_of,
)


class GemmaAudioBiasParams(NamedTuple):
    """Parameters of the position bias of Gemma's audio towers.

    Attributes:
        weight: Projection of the sinusoids to a key of each head, `W`.
        per_dim_scale: What scales each feature of the queries, before a softplus;
            `None` for queries that are scaled already.
    """

    weight: Float[Array, "num_heads head_dim d_model"]
    per_dim_scale: Float[Array, " head_dim"] | None = None


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class GemmaAudioBias(PositionBias):
    """The position bias of Gemma 3n's and Gemma 4's audio towers.

    The bias is `q' . W r(c)`, where `r(c)` are sinusoids of the distance `c`, the
    position of the query minus that of the key, and 0 for keys more than `left` before
    or `right` after the query. The last of the frequencies is 1 / 10000, as in
    tensor2tensor. `q'` are the queries of the content: `q` times `softplus(scale) /
    (softplus(0) * sqrt(head_dim))` for the `per_dim_scale` of the parameters, or `q`
    itself where that is `None`.

    Both models add the bias first, then cap the sum with `cap * tanh(sum / cap)`, and
    mask last. An attention kernel must therefore cap after the bias. The mask takes
    away the pairs whose bias is 0.

    `apply_position_bias` reads the queries `q`, `(*batch, q_len, num_heads, head_dim)`.

    Args:
        num_heads: Number of heads. Positive.
        head_dim: Width of a head. Positive.
        d_model: Number of sines and cosines. Positive and even.
        left: Number of positions before the query that have a bias: one less than
            `attention_context_left`, which counts the query. Not negative.
        right: Number of positions after it, `attention_context_right`. Not negative.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> bias = GemmaAudioBias(8, 192, 1536, left=12)
        >>> bias
        GemmaAudioBias(num_heads=8, head_dim=192, d_model=1536, left=12, right=0)

    Reference:
        `Gemma3nAudioAttention` and `Gemma4AudioAttention` in Hugging Face transformers
        5.23. Gemma 4's code counts distances otherwise in settings that no released
        model has.
    """

    num_heads: int
    head_dim: int
    d_model: int
    left: int
    right: int

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        head_dim: SupportsIndex,
        d_model: SupportsIndex,
        *,
        left: SupportsIndex,
        right: SupportsIndex = 0,
    ):
        set_fields(
            self,
            **checked_sizes(num_heads, head_dim, d_model),
            left=integer("left", left, 0, INT32_MAX),
            right=integer("right", right, 0, INT32_MAX),
        )

    @property
    def _reads(self):
        return {"q": PerHead(self.num_heads, self.head_dim)}

    @property
    def _shapes(self):
        """The shape of each field of the parameters."""
        return {
            "weight": (self.num_heads, self.head_dim, self.d_model),
            "per_dim_scale": (self.head_dim,),
        }

    def _init(self, key, init_std, dtype):
        weight = draw(key, {"weight": self._shapes["weight"]}, init_std, dtype)
        return GemmaAudioBiasParams(
            **weight, per_dim_scale=jnp.zeros(self.head_dim, dtype)
        )

    def _check(self, params, argument="params"):
        check_params(params, GemmaAudioBiasParams, argument)
        shapes = self._shapes
        if params.per_dim_scale is None:  # for queries that are scaled already
            shapes["per_dim_scale"] = None
        check_shapes(params, shapes, argument)

    def _factors(self, params, content):
        """The scaled queries, the projection, and the sinusoids of near distances."""
        params, x = in_one_dtype((params, content.q))
        if params.per_dim_scale is not None:
            factor = 1 / (math.log(2.0) * math.sqrt(self.head_dim))
            scale = factor * jax.nn.softplus(params.per_dim_scale)
            x = x * of_rank(scale, x.ndim)
        limits = (-self.right, self.left)
        sinusoids = sinusoids_of(self.d_model, "sin_cos", 1.0, limits)
        return x, params.weight, sinusoids

    def _near(self, distance):
        return (distance >= -self.left) & (distance <= self.right)

    def _matrix(self, params, pairs, content, dtype):
        factors = self._factors(params, content)
        bias = sinusoid_products(*factors, pairs, content.precision)
        distances = of_rank(pairs.distances()[..., None, :, :], bias.ndim)
        near = self._near(distances)
        return jnp.where(near, bias, jnp.zeros_like(bias)).astype(dtype)

    def _score(self, params, pairs, content):
        factors = self._factors(params, content)
        product = sinusoid_products_at(*factors, pairs, content.precision)
        distance = distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            value = product(batch, head, q_index, k_index)
            near = self._near(distance(batch, q_index, k_index))
            return jnp.where(near, value, jnp.zeros_like(value))

        return bias
