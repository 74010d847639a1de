"""The position bias of Transformer-XL and of the models that took it over."""

from dataclasses import dataclass
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...._checks import (
    INT32_MAX,
    INT32_MIN,
    check_flags,
    check_params,
    choice,
    integer,
    number,
)
from ...._public import public
from ..core.channels import product_channels, side_by_side
from ..core.content import Numbers, PerHead, Several, in_one_dtype
from ..core.distances import of_rank
from ..core.entries import entry_at
from ..core.parameters import check_shapes, draw
from ..core.record import PositionBias, set_fields
from .class_tokens import zero_at_class_tokens, zero_at_class_tokens_at
from .distance_sinusoids import (
    LAYOUTS,
    checked_sizes,
    sinusoid_channels,
    sinusoid_products,
    sinusoid_products_at,
    sinusoids_of,
)
from .segments import Tokens, segment_products, segment_products_at


class TransformerXLBiasParams(NamedTuple):
    """Parameters of Transformer-XL's position bias; a record may read fewer.

    Attributes:
        weight: Projection of the sinusoids to a key of each head, `W`.
        v: Vector of each head that is added to queries which meet these keys.
        u: Vector of each head that meets the keys of the tokens; not read where the
            record has `key_term=False`, and may be `None` there.
        s: Vector of each head that is added to queries which meet keys of segments; not
            read where the record has `segments=False`, and may be `None` there.
        segment_keys: Key of pairs of one segment, and then that of other pairs; not
            read where the record has `segments=False`, and may be `None` there.
    """

    weight: Float[Array, "num_heads head_dim d_model"]
    v: Float[Array, "num_heads head_dim"]
    u: Float[Array, "num_heads head_dim"] | None = None
    s: Float[Array, "num_heads head_dim"] | None = None
    segment_keys: Float[Array, "2 num_heads head_dim"] | None = None


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class TransformerXLBias(PositionBias):
    """Transformer-XL's position bias: queries meet projected sinusoids of the distance.

    The bias is `factor * ((q + v) . W r(c) + u . k)`, where `r(c)` are sinusoids of the
    distance `c`, the position of the query minus that of the key. With segments, it is
    `factor * ((q + v) . W r(c) + (q + s) . g + u . k)`, where `g` is the first key of
    segments if query and key have one segment, and else the second.

    XLNet, Funnel Transformer, and the conformers of wav2vec2-conformer, SeamlessM4T,
    FastSpeech 2, Parakeet and Nemotron have it. Distances are those of positions: no
    matrix is shifted, and what a model reads from a cache needs no option. XLNet's
    `bi_data` stands for negated positions of queries and keys in half of a batch.

    `apply_position_bias` reads the queries `q`, `(*batch, q_len, num_heads, head_dim)`,
    and the keys `k` alike, without the factor. With `segments=True`, `q` is a tuple of
    the queries and of their segments `(*batch, q_len)`, and `k` one of the keys and of
    theirs. With `key_term=False` no keys are read.

    Args:
        num_heads: Number of heads. Positive.
        head_dim: Width of a head. Positive.
        d_model: Number of sines and cosines. Positive and even.
        layout: Their order: `"interleaved"` (conformers: a sine and the cosine of the
            same angle side by side) or `"sin_cos"` (XLNet, Funnel: all sines, then all
            cosines).
        max_distance: Distance from which on all distances to one side are alike, as
            XLNet's `clamp_len`; at least 1. `None` where each has sinusoids of its own.
        key_term: Whether `u . k` is part of the bias. `False` is for a caller who adds
            `u` to the queries of the content, which gives the same scores.
        segments: Whether the bias reads segments.
        class_segment: Segment that is the same as every other; 2 in Funnel. `None`
            where there is none.
        class_token: Whether tokens at position 0 and before are class tokens. A pair
            with one has no bias but `u . k`, as Funnel with `separate_cls`.
        factor: Factor on the bias, default `1 / sqrt(head_dim)`. Finite.

    Raises:
        ValueError: If a setting is out of its range, or there is a class segment
            without segments.

    Example:
        >>> bias = TransformerXLBias(2, 4, 8, key_term=False)
        >>> params = init_position_bias(jax.random.key(0), bias)
        >>> q = jnp.ones((3, 2, 4))
        >>> apply_position_bias(bias, params, range(3), range(5), q=q).shape
        (2, 3, 5)

    Reference:
        Dai et al., Transformer-XL, 2019, section 3.3, https://arxiv.org/abs/1901.02860;
        Yang et al., XLNet, 2019, section 2.5, https://arxiv.org/abs/1906.08237; Dai et
        al., Funnel-Transformer, 2020, https://arxiv.org/abs/2006.03236.
    """

    num_heads: int
    head_dim: int
    d_model: int
    layout: str
    max_distance: int | None
    key_term: bool
    segments: bool
    class_segment: int | None
    class_token: bool
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        head_dim: SupportsIndex,
        d_model: SupportsIndex,
        *,
        layout: str = "interleaved",
        max_distance: SupportsIndex | None = None,
        key_term: bool = True,
        segments: bool = False,
        class_segment: SupportsIndex | None = None,
        class_token: bool = False,
        factor: SupportsFloat | None = None,
    ):
        sizes = checked_sizes(num_heads, head_dim, d_model)
        check_flags(key_term=key_term, segments=segments, class_token=class_token)
        if max_distance is not None:
            max_distance = integer("max_distance", max_distance, 1, INT32_MAX)
        if class_segment is not None:
            class_segment = integer(
                "class_segment", class_segment, INT32_MIN, INT32_MAX
            )
            if not segments:
                raise ValueError(f"{class_segment=} must come with segments=True.")
        set_fields(
            self,
            **sizes,
            layout=choice("layout", layout, LAYOUTS),
            max_distance=max_distance,
            key_term=bool(key_term),
            segments=bool(segments),
            class_segment=class_segment,
            class_token=bool(class_token),
            factor=sizes["head_dim"] ** -0.5
            if factor is None
            else number("factor", factor),
        )

    @property
    def _reads(self):
        vectors, numbers = PerHead(self.num_heads, self.head_dim), Numbers()
        both = Several((vectors, numbers))
        reads: dict[str, Any] = {"q": both if self.segments else vectors}
        if self.key_term:
            reads["k"] = both if self.segments else vectors
        elif self.segments:
            reads["k"] = numbers
        return reads

    @property
    def _shapes(self):
        """The shape of each field of the parameters that the record reads."""
        heads = (self.num_heads, self.head_dim)
        shapes = {"weight": (*heads, self.d_model), "v": heads}
        if self.key_term:
            shapes["u"] = heads
        if self.segments:
            shapes |= {"s": heads, "segment_keys": (2, *heads)}
        return shapes

    def _init(self, key, init_std, dtype):
        return TransformerXLBiasParams(**draw(key, self._shapes, init_std, dtype))

    def _check(self, params, argument="params"):
        check_params(params, TransformerXLBiasParams, argument)
        check_shapes(params, self._shapes, argument)

    def _sinusoids(self):
        limit = self.max_distance
        limits = None if limit is None else (-limit, limit)
        return sinusoids_of(self.d_model, self.layout, limits=limits)

    def _matrix(self, params, pairs, content, dtype):
        params, q, k = self._parts(params, content)
        precision = content.precision
        x = self._with(params.v, q)
        sinusoids = self._sinusoids()
        bias = sinusoid_products(x, params.weight, sinusoids, pairs, precision)
        if self.segments:
            x = self._with(params.s, q)
            bias = bias + segment_products(
                x, params.segment_keys, q, k, self.class_segment, precision
            )
        if self.class_token:
            bias = zero_at_class_tokens(bias, pairs)
        if self.key_term:
            bias = bias + self._of_keys(params, k, precision)[..., None, :]
        return bias.astype(dtype)

    def _score(self, params, pairs, content):
        params, q, k = self._parts(params, content)
        precision = content.precision
        x, sinusoids = self._with(params.v, q), self._sinusoids()
        terms = [sinusoid_products_at(x, params.weight, sinusoids, pairs, precision)]
        if self.segments:
            x, keys = self._with(params.s, q), params.segment_keys
            terms.append(
                segment_products_at(x, keys, q, k, self.class_segment, precision)
            )
        if self.class_token:
            terms = [zero_at_class_tokens_at(term, pairs) for term in terms]
        if self.key_term:
            of_key = entry_at(self._of_keys(params, k, precision), 2)
            terms.append(
                lambda batch, head, q_index, k_index: of_key(batch, head, k_index)
            )
        return lambda *indices: sum(term(*indices) for term in terms)

    def _channels(self, params, pairs, content, kernel):
        for name in ("max_distance", "segments", "class_token"):
            if getattr(self, name):
                raise ValueError(
                    f"bias must not have {name}={getattr(self, name)}: it is no sum of "
                    "products of a query and a key then. Use apply_position_bias or "
                    "position_bias_score_mod."
                )
        params, q, k = self._parts(params, content)
        x = self._with(params.v, q)
        of_q, of_k = sinusoid_channels(
            x, params.weight, self._sinusoids(), pairs, content.precision
        )
        if self.key_term:
            of_keys = self._of_keys(params, k, content.precision)[..., None]
            of_q = jnp.concatenate([of_q, jnp.ones_like(of_q[..., :1])], -1)
            of_k = side_by_side([of_k, of_keys])
        return product_channels(of_q, of_k, kernel)

    def _parts(self, params, content):
        """Parameters and vectors in one dtype, and the segments beside the vectors."""
        params, q, k = in_one_dtype((params, content.q, content.k))
        if self.segments:
            return params, Tokens(*q), Tokens(*k) if self.key_term else Tokens(0, k)
        return params, Tokens(q, None), Tokens(k, None)

    def _with(self, vector, q):
        """Queries plus a vector of each head, times the factor."""
        vector = of_rank(vector[:, None, :], q.vectors.ndim)
        return self.factor * (q.vectors + vector)

    def _of_keys(self, params, k, precision):
        """The term `u . k` of every head and key, `(*batch, num_heads, k_len)`."""
        u = self.factor * params.u
        return jnp.einsum("...hkd,hd->...hk", k.vectors, u, precision=precision)
