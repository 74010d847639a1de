"""A linear map of sinusoids of the relations of two boxes: PP-DocLayoutV2."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...._checks import (
    check_params,
    number,
    positive_integer,
    positive_multiple,
)
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.by_token import of_pair_at, of_pairs, with_batch_of
from ..core.content import Boxes, float_dtypes
from ..core.distances import of_rank
from ..core.parameters import check_shapes, draw_normal
from ..core.record import PositionBias, set_fields

# The smallest size of a box, and what is added to sizes in quotients.
_SMALLEST, _ADDED = 1e-3, 1e-5


class BoxRelationBiasParams(NamedTuple):
    """Parameters of a bias of the relations of boxes.

    Attributes:
        weight: Linear map of the sinusoids of all four relations to the heads.
        bias: Offset of that map.
    """

    weight: Float[Array, "num_features num_heads"]
    bias: Float[Array, " num_heads"]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class BoxRelationBias(PositionBias):
    """A linear map of sinusoids of four relations of two boxes.

    `q` and `k` of `apply_position_bias` are the boxes, `(*batch, seq_len, 4)`: left,
    top, right and bottom. For centers `c`, widths and heights `w` and `h`, at least
    0.001 and with 0.00001 added in quotients, the relations are
    `ln(|cx_q - cx_k| / w_q + 1)`, `ln(|cy_q - cy_k| / h_q + 1)`, `ln(w_q / w_k)` and
    `ln(h_q / h_k)`. Each has `width` features: the sines and then the cosines of
    `scale * relation * base ** (-4 m / width)`, for `m` below `width // 2`. Parameters
    are a `BoxRelationBiasParams`. Positions are not read.

    Arithmetic is in float32, so that angles, which are some hundreds, are off by their
    rounding; float64 boxes in 64-bit mode have exact ones.

    Args:
        num_heads: Number of heads. Positive.
        width: Number of features of each relation. Positive and even.
        base: Base of the frequencies. Positive.
        scale: Factor on the relations. Positive.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> bias = BoxRelationBias(8)
        >>> params = init_position_bias(jax.random.key(0), bias)
        >>> x = np.array([[10, 20, 60, 30], [70, 20, 90, 30]])
        >>> apply_position_bias(bias, params, range(2), range(2), q=x, k=x).shape
        (8, 2, 2)

    Reference:
        `PPDocLayoutV2PositionRelationEmbedding` of the code in transformers.
        https://huggingface.co/PaddlePaddle/PP-DocLayoutV2
    """

    num_heads: int
    width: int
    base: float
    scale: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        width: SupportsIndex = 16,
        *,
        base: SupportsFloat = 10_000.0,
        scale: SupportsFloat = 100.0,
    ):
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            width=positive_multiple("width", width, 2),
            base=number("base", base, positive=True),
            scale=number("scale", scale, positive=True),
        )

    @property
    def _reads(self):
        return {"q": Boxes(), "k": Boxes()}

    @property
    def _shapes(self):
        """The shape of each field of the parameters."""
        return {"weight": (4 * self.width, self.num_heads), "bias": (self.num_heads,)}

    def _init(self, key, init_std, dtype):
        return BoxRelationBiasParams(
            weight=draw_normal(key, self._shapes["weight"], init_std, dtype),
            bias=jnp.zeros(self.num_heads, dtype),
        )

    def _check(self, params, argument="params"):
        check_params(params, BoxRelationBiasParams, argument)
        check_shapes(params, self._shapes, argument)

    def _features(self, relation):
        """The sinusoids `(..., width)` of a relation."""
        exponents = -4 * np.arange(self.width // 2) / self.width
        frequencies = jnp.asarray(self.scale * self.base**exponents, relation.dtype)
        frequencies = of_rank(frequencies, relation.ndim + 1)
        angles = relation[..., None] * frequencies
        return jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1)

    def _wide(self, params, content):
        """The parameters, and centers and sizes of boxes, in one dtype."""
        arrays = (params, content.q, content.k)
        dtype = compute_dtype(*float_dtypes(arrays))
        params, *boxes = jax.tree.map(lambda x: jnp.asarray(x, dtype), arrays)
        return params, *map(_centers_and_sizes, boxes)

    def _matrix(self, params, pairs, content, dtype):
        params, q, k = self._wide(params, content)
        biases = of_rank(params.bias[:, None, None], q[0].ndim + 2)
        weights = params.weight.reshape(4, self.width, self.num_heads)
        # One relation after another, because features need much memory.
        for relation, weight in zip(of_pairs(_relations, q, k), weights, strict=True):
            product = jnp.einsum(
                "...f,fh->...h",
                self._features(relation),
                weight,
                precision=content.precision,
            )
            product = jnp.moveaxis(product, -1, -3)
            rank = max(product.ndim, biases.ndim)
            biases = of_rank(biases, rank) + of_rank(product, rank)
        return with_batch_of(pairs, biases).astype(dtype)

    def _score(self, params, pairs, content):
        params, q, k = self._wide(params, content)
        relations = of_pair_at(_relations, q, k)

        def bias(batch, head, q_index, k_index):
            features = [self._features(r) for r in relations(batch, q_index, k_index)]
            features = jnp.concatenate(features, -1)
            weight = params.weight.T[head]
            rank = max(weight.ndim, features.ndim)
            product = of_rank(features, rank) * of_rank(weight, rank)
            return product.sum(-1) + params.bias[head]

        return bias


def _centers_and_sizes(boxes):
    left, top, right, bottom = (boxes[..., i] for i in range(4))
    width, height = (jnp.maximum(s, _SMALLEST) for s in (right - left, bottom - top))
    return (left + right) / 2, (top + bottom) / 2, width, height


def _relations(q, k):
    """The four relations, of tuples of centers and sizes."""
    apart = [
        jnp.log(abs(a - b) / (size + _ADDED) + 1)
        for a, b, size in zip(q[:2], k[:2], q[2:], strict=True)
    ]
    ratios = [
        jnp.log((a + _ADDED) / (b + _ADDED)) for a, b in zip(q[2:], k[2:], strict=True)
    ]
    return *apart, *ratios
