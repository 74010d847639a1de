"""Sandwich: products of sinusoidal embeddings, as a bias without parameters."""

from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import number, positive_integer, positive_multiple
from ...._public import public
from ..._angles.phase import exact_cos_sin, phase_words
from ..core.by_distance import distance_at, matrix_by_distance
from ..core.by_query import map_queries
from ..core.channels import product_channels
from ..core.distances import length_of
from ..core.record import PositionBias, set_fields


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class SandwichBias(PositionBias):
    """Sandwich's position bias, which has no parameters.

    For the heads `h` from 1 on, it is `(sum - width / 2) / (8 h / num_heads)`. The sum
    is that of `cos(distance / base ** (2 n / width))` over `n` from 1 to `width / 2`:
    the product of the sinusoidal embeddings of the two positions. So the bias is
    symmetric, 0 for a key at the position of the query, and negative elsewhere. Its
    angles are exact at every distance.

    Args:
        num_heads: Number of heads. Positive.
        width: Number of features of the sinusoidal embeddings. Positive and even. It
            need not be the width of a head.
        base: Base of the frequencies. Finite and at least 1.
        factor: Factor on the biases, for models that divide the sum of scores and
            biases. Finite.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> SandwichBias(12)
        SandwichBias(num_heads=12, width=128, base=10000.0, factor=1.0)

    Reference:
        Chi et al., Dissecting Transformer Length Extrapolation via the Lens of
        Receptive Field Analysis, 2023, the section on Sandwich.
        https://arxiv.org/abs/2212.10356
    """

    num_heads: int
    width: int
    base: float
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        *,
        width: SupportsIndex = 128,
        base: SupportsFloat = 10_000.0,
        factor: SupportsFloat = 1.0,
    ):
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            width=positive_multiple("width", width, 2),
            base=number("base", base, 1),
            factor=number("factor", factor),
        )

    def _cos_sin(self, integers):
        """Cos and sin of integers times each frequency, `(*integers, width // 2)`."""
        exponents = np.arange(1, self.width // 2 + 1) * (-2 / self.width)
        words = phase_words(self.base**exponents)
        words = words.reshape(2, *(1,) * integers.ndim, -1)
        return exact_cos_sin(integers[..., None], words)

    def _ratios(self):
        heads = np.arange(1, self.num_heads + 1)
        return (self.factor * self.num_heads / (8 * heads)).astype(np.float32)

    def _sum(self, distance):
        """The sum of all cosines, minus its largest value."""
        cos, _ = self._cos_sin(length_of(distance))
        return _sum_of_halves(cos) - np.float32(self.width // 2)

    def _matrix(self, params, pairs, content, dtype):
        ratios = self._ratios()
        if pairs.offset is not None:
            return matrix_by_distance(
                lambda distance: ratios[:, None] * self._sum(distance)[None],
                pairs,
                dtype,
            )
        # A few queries at a time: every pair has as many cosines as frequencies.
        distances = jnp.moveaxis(pairs.distances(), -2, 0)
        sums = map_queries(self._sum, distances)
        sums = jnp.moveaxis(sums, 0, -2)[..., None, :, :]
        ratios = ratios.reshape((1,) * (sums.ndim - 3) + (-1, 1, 1))
        return (ratios * sums).astype(dtype)

    def _score(self, params, pairs, content):
        ratios, distance = jnp.asarray(self._ratios()), distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            return ratios[head] * self._sum(distance(batch, q_index, k_index))

        return bias

    def _channels(self, params, pairs, content, kernel):
        # The sum without its largest value, which is a constant for every head.
        q, k = (jnp.concatenate(self._cos_sin(t), -1) for t in (pairs.q, pairs.k))
        q, k = q[..., None, :, :], k[..., None, :, :]
        ratios = self._ratios().reshape((1,) * (q.ndim - 3) + (-1, 1, 1))
        return product_channels(ratios * q, k, kernel)


def _sum_of_halves(x):
    """The sum over the last axis, whose bits do not depend on the other axes."""
    size = x.shape[-1]
    room = (1 << (size - 1).bit_length()) - size
    x = jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, room)])
    while x.shape[-1] > 1:
        half = x.shape[-1] // 2
        x = x[..., :half] + x[..., half:]
    return x[..., 0]
