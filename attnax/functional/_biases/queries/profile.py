"""The position bias of Inkling: profiles by distance that each query mixes."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...._checks import INT32_MAX, check_params, integer, number, positive_integer
from ...._public import public
from ..core.content import PerHead, in_one_dtype
from ..core.distances import of_rank
from ..core.parameters import check_shapes, draw
from ..core.products import Product, products_by_distance, sum_of_products_at
from ..core.record import PositionBias, set_fields
from .temperature import inkling_temperature


class ProfileBiasParams(NamedTuple):
    """Parameters of a bank of profiles.

    Attributes:
        bank: Bias of each profile at each distance.
        scale: Factor of each weight of each head, before their norm is limited; `None`
            where the record has `max_norm=None`.
    """

    bank: Float[Array, "num_profiles extent"]
    scale: Float[Array, "num_heads num_profiles"] | None = None


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class ProfileBias(PositionBias):
    """Inkling's position bias: each query mixes profiles over the last positions.

    The bias is the sum of `m[n] * bank[n, c]` over the profiles `n` for `0 <= c <
    extent`, where `c` is the position of the query minus that of the key and `m` are
    weights that each query has for each head. It is 0 for all other keys, and is added
    to the scaled scores.

    Inkling 2 limits the norm of the weights: those of a head are `m * scale`, times
    `min(1, max_norm / (norm + 1e-6))`. Layers that attend to all tokens multiply the
    bias by `inkling_temperature` of the position of the query, and the queries too.

    `apply_position_bias` reads the weights as `q`,
    `(*batch, q_len, num_heads, num_profiles)`; a linear map of the hidden state makes
    them (`r_proj`).

    Args:
        num_heads: Number of heads of queries. Positive.
        num_profiles: Number of profiles, `d_rel` of Inkling. Positive.
        extent: Number of distances of a profile: `rel_extent`, or `sliding_window_size`
            in layers with a window. Positive.
        max_norm: Greatest norm of weights, `rel_l2_clip_threshold` of Inkling 2.
            Positive and finite. `None` where there is no limit and no scale.
        floor: See `inkling_temperature`; `None` where there is no temperature.
        alpha: See `inkling_temperature`. Finite.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> bias = ProfileBias(1, 2, 3)
        >>> bank = jnp.array([[4.0, 2.0, 1.0], [1.0, 1.0, 1.0]])
        >>> q = jnp.array([[[1.0, 0.5]]])
        >>> apply_position_bias(bias, ProfileBiasParams(bank), [3], range(4), q=q)
        Array([[[0. , 1.5, 2.5, 4.5]]], dtype=float32)

    Reference:
        `InklingAttention` and `Inkling2Attention` in Hugging Face transformers 5.23.
    """

    num_heads: int
    num_profiles: int
    extent: int
    max_norm: float | None
    floor: float | None
    alpha: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        num_profiles: SupportsIndex,
        extent: SupportsIndex,
        *,
        max_norm: SupportsFloat | None = None,
        floor: SupportsFloat | None = None,
        alpha: SupportsFloat = 0.1,
    ):
        if max_norm is not None:
            max_norm = number("max_norm", max_norm, positive=True)
        if floor is not None:
            floor = number("floor", floor, positive=True)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            num_profiles=positive_integer("num_profiles", num_profiles),
            extent=integer("extent", extent, 1, INT32_MAX),
            max_norm=max_norm,
            floor=floor,
            alpha=number("alpha", alpha),
        )

    @property
    def _reads(self):
        return {"q": PerHead(self.num_heads, self.num_profiles)}

    @property
    def _shapes(self):
        """The shape of each field of the parameters, or `None`."""
        scale = (self.num_heads, self.num_profiles)
        return {
            "bank": (self.num_profiles, self.extent),
            "scale": None if self.max_norm is None else scale,
        }

    def _init(self, key, init_std, dtype):
        shapes = self._shapes
        bank = draw(key, {"bank": shapes["bank"]}, init_std, dtype)
        scale = shapes["scale"] and jnp.ones(shapes["scale"], dtype)
        return ProfileBiasParams(**bank, scale=scale)

    def _check(self, params, argument="params"):
        check_params(params, ProfileBiasParams, argument)
        check_shapes(params, self._shapes, argument)

    def _row(self, distance):
        """The row of a distance; the one after the last is a bias of 0."""
        xp = np if isinstance(distance, np.ndarray) else jnp
        inside = (distance <= 0) & (distance > -self.extent)
        return xp.where(inside, -distance, np.int32(self.extent))

    def _mixed(self, params, pairs, content):
        """The weights of each query, and the rows of the bank that they multiply."""
        params, x = in_one_dtype((params, content.q))
        if self.max_norm is not None:
            x = limited_norm(
                x * of_rank(params.scale[:, None, :], x.ndim), self.max_norm
            )
        if self.floor is not None:
            tau = inkling_temperature(pairs.q, alpha=self.alpha, floor=self.floor)
            x = x * of_rank(tau.astype(x.dtype)[..., None, :, None], x.ndim)
        return x, params.bank.T[None]

    def _matrix(self, params, pairs, content, dtype):
        x, rows = self._mixed(params, pairs, content)
        bias = products_by_distance(x, rows, self._row, pairs, content.precision)
        return bias.astype(dtype)

    def _score(self, params, pairs, content):
        x, rows = self._mixed(params, pairs, content)
        product = Product(x, rows)
        return sum_of_products_at([product], self._row, pairs, content.precision)


def limited_norm(x, max_norm):
    """Vectors no longer than `max_norm`, along their last axis."""
    square = jnp.sum(x * x, axis=-1, keepdims=True)
    # The square root has no derivative at 0, and zeros are never too long.
    some = square > 0
    norm = jnp.sqrt(jnp.where(some, square, jnp.ones_like(square)))
    factor = jnp.minimum(max_norm / (norm + 1e-6), 1.0)
    return x * jnp.where(some, factor, jnp.ones_like(factor))
