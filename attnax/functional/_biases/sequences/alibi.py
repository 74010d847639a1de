"""ALiBi: a bias proportional to the distance, with a slope for each head."""

from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float

from ...._checks import check_flags, choice, number, positive_integer
from ...._public import public
from ..core.by_distance import distance_at, key_at, matrix_by_distance
from ..core.distances import length_of
from ..core.record import PositionBias, set_fields
from .alibi_channels import alibi_channels

FORMS = ("symmetric", "signed", "key")


@public
def alibi_slopes(
    num_heads: SupportsIndex, *, max_bias: SupportsFloat = 8.0
) -> Float[np.ndarray, " num_heads"]:
    """Returns the slope of each head of ALiBi, as released models have them.

    For a power of two, the slopes are `2 ** (-max_bias * (h + 1) / num_heads)` for the
    heads `h`. For another number, let `P` be the power of two below it: the first `P`
    slopes are those of `P` heads, and the others are every second one, from the first
    on, of the slopes of `2 P` heads.

    Args:
        num_heads: Number of heads. Positive.
        max_bias: Negative binary logarithm of the last slope of a power of two.
            Positive and finite; 8 in the paper, `alibi_bias_max` in MPT.

    Returns:
        Slopes in float64. BLOOM, MPT and Falcon subtract the slope times the distance
        from the scores.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> alibi_slopes(4).tolist()
        [0.25, 0.0625, 0.015625, 0.00390625]

    Reference:
        Press et al., Train Short, Test Long, 2022, section 3, and `get_slopes` of its
        code. https://arxiv.org/abs/2108.12409
    """
    num_heads = positive_integer("num_heads", num_heads)
    max_bias = number("max_bias", max_bias, positive=True)
    power = 1 << (num_heads.bit_length() - 1)
    slopes = _geometric(power, max_bias)
    further = _geometric(2 * power, max_bias)[0::2]
    return np.concatenate([slopes, further[: num_heads - power]])


def _geometric(num_heads, max_bias):
    return 2.0 ** (-max_bias * np.arange(1, num_heads + 1) / num_heads)


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class AlibiBias(PositionBias):
    """ALiBi's position bias, which has no parameters.

    Args:
        num_heads: Number of heads. Positive.
        max_bias: Negative binary logarithm of the last slope, where the heads are a
            power of two. Positive and finite.
        form: `"symmetric"` is `-slope * |distance|`, for encoders. `"signed"` is
            `slope * distance`, where the distance is the position of the key minus
            that of the query; it is the same in a causal decoder. `"key"` is
            `slope * position of the key` (BLOOM, Falcon): it differs from `"signed"`
            by a constant in each row, so that attention is the same up to rounding.
            MPT counts its keys back from the last one.
        factor: Factor on the biases, for models that divide the sum of scores and
            biases. Finite.
        in_bfloat16: Whether slopes, what they multiply and the products are rounded to
            bfloat16, and then multiplied by `factor` in float32. Falcon's are, with
            `factor=head_dim**-0.5`.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> AlibiBias(8, form="signed")  # doctest: +NORMALIZE_WHITESPACE
        AlibiBias(num_heads=8, max_bias=8.0, form='signed', factor=1.0,
                  in_bfloat16=False)

    Reference:
        Press et al., Train Short, Test Long, 2022, section 3.
        https://arxiv.org/abs/2108.12409
    """

    num_heads: int
    max_bias: float
    form: str
    factor: float
    in_bfloat16: bool

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        *,
        max_bias: SupportsFloat = 8.0,
        form: str = "symmetric",
        factor: SupportsFloat = 1.0,
        in_bfloat16: bool = False,
    ):
        check_flags(in_bfloat16=in_bfloat16)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            max_bias=number("max_bias", max_bias, positive=True),
            form=choice("form", form, FORMS),
            factor=number("factor", factor),
            in_bfloat16=bool(in_bfloat16),
        )

    def _slopes(self):
        slopes = alibi_slopes(self.num_heads, max_bias=self.max_bias)
        if not self.in_bfloat16:
            slopes *= self.factor
        return slopes.astype(np.float32)

    def _length(self, distance):
        """What a slope multiplies."""
        if self.form == "symmetric":
            distance = -length_of(distance)
        return jnp.asarray(distance).astype(jnp.float32)

    def _products(self, slopes, lengths):
        if not self.in_bfloat16:
            return slopes * lengths
        # Casts there and back would be dropped: XLA may keep the wider number.
        product = _bfloat16(_bfloat16(slopes) * _bfloat16(lengths))
        return product * np.float32(self.factor)

    def _matrix(self, params, pairs, content, dtype):
        slopes = self._slopes()
        if self.form == "key":
            keys = self._length(pairs.k)[..., None, None, :]
            slopes = slopes.reshape((1,) * (keys.ndim - 3) + (-1, 1, 1))
            biases = self._products(slopes, keys).astype(dtype)
            shape = (*pairs.batch, self.num_heads, *pairs.lengths)
            return jnp.broadcast_to(biases, shape)

        def values(distance):
            slope = slopes.reshape(-1, *(1,) * distance.ndim)
            return self._products(slope, self._length(distance)[None])

        return matrix_by_distance(values, pairs, dtype)

    def _score(self, params, pairs, content):
        slopes = jnp.asarray(self._slopes())
        of_pair = key_at(pairs) if self.form == "key" else distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            lengths = self._length(of_pair(batch, q_index, k_index))
            return self._products(slopes[head], lengths)

        return bias

    def _channels(self, params, pairs, content, kernel):
        if self.form == "symmetric" and not kernel.causal:
            raise ValueError(
                "bias.form='symmetric' must come with causal=True, where a mask hides "
                "the keys after each query: no sum of few products is the absolute "
                "distance. Use apply_position_bias or position_bias_score_mod."
            )
        if self.in_bfloat16:
            raise ValueError(
                "bias.in_bfloat16=True must be False: rounded products are no products "
                "of a query and a key. Use apply_position_bias or "
                "position_bias_score_mod."
            )
        return alibi_channels(self._slopes().astype(np.float64), pairs, kernel)


def _bfloat16(x):
    """Numbers rounded to those of bfloat16, in float32."""
    return lax.reduce_precision(x, exponent_bits=8, mantissa_bits=7)
