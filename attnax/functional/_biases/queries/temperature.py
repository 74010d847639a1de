"""The temperature of queries at late positions, by a logarithm."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ...._checks import int32_in_range, nan_where_invalid, number
from ...._public import public


@public
def inkling_temperature(
    positions: Integer[Array | np.ndarray, "*positions"] | Sequence | SupportsIndex,
    *,
    alpha: SupportsFloat = 0.1,
    floor: SupportsFloat,
) -> Float[Array, "*positions"]:
    """Returns the factor of Inkling's queries and of their position bias.

    It is `1 + alpha * ln(max(1, (position + 1) / floor))`, and 1 for the first `floor`
    positions. `ProfileBias` holds it already where it has a `floor`; queries of the
    content are to be multiplied by it.

    Args:
        positions: Integer positions of the queries.
        alpha: Weight of the logarithm, `log_scaling_alpha`. Finite.
        floor: Number of positions before the factor grows, `log_scaling_n_floor`.
            Positive and finite.

    Returns:
        Factors in float32, in the shape of `positions`. A traced position that int32
        does not hold gives NaN.

    Raises:
        ValueError: If `alpha` or `floor` is out of its range, `positions` are not
            integers, or a known position is out of range.

    Example:
        >>> inkling_temperature(jnp.array([3, 7, 39]), floor=4)
        Array([1.       , 1.0693147, 1.2302585], dtype=float32)

    Reference:
        `log_scaling_alpha` of Inkling in Hugging Face transformers 5.23.
    """
    alpha = number("alpha", alpha)
    floor = number("floor", floor, positive=True)
    positions, valid = int32_in_range("positions", positions)
    # A float first: the last position plus one is no int32.
    ratio = (positions.astype(jnp.float32) + 1.0) / floor
    return nan_where_invalid(valid, 1.0 + alpha * jnp.log(jnp.maximum(ratio, 1.0)))
