"""KERPLE: biases that fall with the logarithm or a power of the distance."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ...._checks import (
    check_params,
    choice,
    number,
    positive_integer,
)
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.by_distance import distance_at, matrix_by_distance
from ..core.distances import length_of
from ..core.parameters import check_shapes
from ..core.record import PositionBias, set_fields

FORMS = ("log", "power")
LEAST = 0.01  # of both parameters, where they are used
MOST = 2.0  # of the exponent


class KerpleBiasParams(NamedTuple):
    """Parameters of KERPLE, one number for each head.

    Attributes:
        r1: Factor of the bias.
        r2: Factor of the distance in the logarithm, or the exponent.
    """

    r1: Float[Array, " num_heads"]
    r2: Float[Array, " num_heads"]


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class KerpleBias(PositionBias):
    """KERPLE's position bias, a learned function of the distance for each head.

    It is `-r1 * ln(1 + r2 * |distance|)` for the form `"log"`, and
    `-r1 * |distance| ** r2` for `"power"`. As in the code of the paper, `r1` and `r2`
    below 0.01 count as 0.01, and exponents above 2 count as 2, while gradients are
    those of the number that they count as. An optimizer may therefore leave the bounds,
    and comes back. The paper's models share these parameters among all layers.

    `init_position_bias` draws them as the paper's code does, whatever `init_std`: `r1`
    from `[0, 2)` and `r2` from `[0, 1)` for the logarithm, the other way round for the
    power. That code calls `r1` and `r2` `bias_p` and `bias_a` for the logarithm, and
    `bias_a` and `bias_p` for the power, of shape `(num_heads, 1, 1)`.

    Args:
        num_heads: Number of heads. Positive.
        form: `"log"` or `"power"`.
        factor: Factor on the biases, for models that divide the sum of scores and
            biases. Finite.

    Raises:
        ValueError: If a setting is out of its range.

    Example:
        >>> KerpleBias(12)
        KerpleBias(num_heads=12, form='log', factor=1.0)

    Reference:
        Chi et al., KERPLE: Kernelized Relative Positional Embedding for Length
        Extrapolation, 2022, and `ParallelKerpleLog` of its code.
        https://arxiv.org/abs/2205.09921
    """

    num_heads: int
    form: str
    factor: float

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        *,
        form: str = "log",
        factor: SupportsFloat = 1.0,
    ):
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            form=choice("form", form, FORMS),
            factor=number("factor", factor),
        )

    def _init(self, key, init_std, dtype):
        keys, shape = jax.random.split(key), (self.num_heads,)
        limits = (2.0, 1.0) if self.form == "log" else (1.0, 2.0)
        r1, r2 = (
            limit * jax.random.uniform(key, shape, compute_dtype(dtype))
            for limit, key in zip(limits, keys, strict=True)
        )
        return KerpleBiasParams(r1.astype(dtype), r2.astype(dtype))

    def _check(self, params, argument="params"):
        check_params(params, KerpleBiasParams, argument)
        shape = (self.num_heads,)
        check_shapes(params, {"r1": shape, "r2": shape}, argument)

    def _used(self, params):
        """The parameters in their bounds, with the factor in the first one."""
        r1, r2 = (jnp.asarray(t, compute_dtype(t.dtype)) for t in params)
        most = MOST if self.form == "power" else None
        return self.factor * _clipped(r1, None), _clipped(r2, most)

    def _bias(self, r1, r2, distance):
        size = length_of(distance).astype(r2.dtype)
        if self.form == "power":
            return -r1 * size**r2
        return -r1 * jnp.log1p(r2 * size)

    def _matrix(self, params, pairs, content, dtype):
        r1, r2 = self._used(params)

        def values(distance):
            of_head = (-1, *(1,) * distance.ndim)
            return self._bias(r1.reshape(of_head), r2.reshape(of_head), distance[None])

        return matrix_by_distance(values, pairs, dtype)

    def _score(self, params, pairs, content):
        r1, r2 = self._used(params)
        distance = distance_at(pairs)

        def bias(batch, head, q_index, k_index):
            return self._bias(r1[head], r2[head], distance(batch, q_index, k_index))

        return bias


def _clipped(x, most):
    """`x` in its bounds, with the gradient of `x` itself."""
    return jnp.clip(lax.stop_gradient(x), LEAST, most) + (x - lax.stop_gradient(x))
