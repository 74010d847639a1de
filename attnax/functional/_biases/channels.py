"""Position biases as extra channels of queries and keys."""

from collections.abc import Sequence
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Num

from ..._checks import check_flags, nan_where_invalid, number, positive_integer
from ..._dtypes import compute_dtype, result_dtype
from ..._public import public
from .core.channels import Kernel
from .core.content import content_of
from .core.distances import pairs_of
from .core.record import PositionBias, check_bias


class PositionChannels(NamedTuple):
    """Extra channels of queries and keys whose products are a position bias.

    Attributes:
        q: Channels of the queries, already divided by the scale of the kernel.
        k: Channels of the keys, with an axis of 1 where all heads share them.
    """

    q: Float[Array, "*batch q_len num_heads num_channels"]
    k: Float[Array, "*batch k_len num_heads_or_1 num_channels"]


@public
def position_bias_channels(
    bias: PositionBias,
    params: Any,
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
    *,
    q: Num[Array | np.ndarray, "..."] | tuple | None = None,
    k: Num[Array | np.ndarray, "..."] | tuple | None = None,
    scale: SupportsFloat,
    dtype: DTypeLike,
    causal: bool = False,
    pieces: SupportsIndex | None = None,
    precision: PrecisionLike = None,
) -> PositionChannels:
    """Returns channels of queries and keys whose products are the bias."""
    check_bias(bias)
    check_flags(causal=causal)
    bias._check(params)
    dtype = result_dtype("dtype", dtype, dtype)
    scale = number("scale", scale, positive=True)
    kernel = Kernel(
        # Kernels multiply with the scale in the dtype in which they add up.
        scale=float(compute_dtype(dtype).type(scale)),
        dtype=dtype,
        causal=bool(causal),
        pieces=None if pieces is None else positive_integer("pieces", pieces),
    )
    pairs = pairs_of(q_positions, k_positions, bias._bounds)
    content = content_of(bias, pairs, q, k, precision)
    of_q, of_k = bias._channels(params, pairs, content, kernel)
    return PositionChannels(
        q=_tokens_first(of_q, pairs.q_valid), k=_tokens_first(of_k, pairs.k_valid)
    )


def _tokens_first(channels, valid):
    """Channels with the heads after the tokens, and NaN at invalid positions."""
    channels = jnp.moveaxis(channels, -3, -2)
    if valid is not None:
        shape = np.broadcast_shapes(channels.shape[:-2], valid.shape)
        channels = jnp.broadcast_to(channels, (*shape, *channels.shape[-2:]))
        valid = jnp.broadcast_to(valid, shape)
    return nan_where_invalid(valid, channels)
