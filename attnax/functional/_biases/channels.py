"""Position biases as extra channels of queries and keys."""

from collections.abc import Sequence
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Num

from ..._checks import (
    FLOAT32_MAX,
    FLOAT32_TINY,
    check_flags,
    nan_where_invalid,
    number,
    positive_integer,
)
from ..._dtypes import compute_dtype, result_dtype
from ..._public import public
from .core.automatic_axes import channels_of
from .core.channels import Kernel
from .core.read import checked_inputs
from .core.record import PositionBias


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
    """Returns extra channels of queries and keys whose products are the bias.

    Attention kernels without an argument for a bias, such as splash attention, take
    such channels: `scale * (q . k)` becomes `scale * (q . k) + bias`. `append_channels`
    puts them behind queries and keys. No array of all pairs is made.

    Few schemes are sums of products of a query and a key: signed ALiBi, decomposed
    biases, Transformer-XL's, Sandwich, the forgetting bias and sums of them. Numbers of
    their channels are rounded to `dtype`: in bfloat16 the error is at most `2 ** -7` of
    the sum of the magnitudes of the products, and `2 ** -14` with `pieces=2`.
    Sandwich and ALiBi have the bias up to a constant in each row, which softmax
    removes. The constant is the same for all keys that are given with the same queries,
    in whichever calls.

    Under a causal mask, ALiBi's symmetric form is the signed one. Channels of its keys
    are the base-256 digits of their distance from the middle of the queries, which
    every dtype holds, and those of its queries are the slope of the head, as one number
    of `dtype` where that is exact and as two elsewhere. Distances from the middle
    beyond 16,777,215 count as that. Only rounding is left: of the slope, to `2**-16` of
    it in bfloat16 and `2**-22` in float16, and of the kernel's sum, to float32.

    Args:
        bias: The record of the scheme.
        params: Parameters of the record, or `None`.
        q_positions: Integer positions of the queries, `(*batch, q_len)`; a range or a
            list too.
        k_positions: Positions of the keys, `(*batch, k_len)`. Ranges of fewer than
            65,536 positions need fewer channels than others.
        q: What the record reads of the queries beside their positions; `None` where it
            reads nothing.
        k: What the record reads of the keys beside their positions; `None` where it
            reads nothing.
        scale: The factor of the kernel on the products. A positive number that float32
            holds; 1 for a kernel that has none.
        dtype: Dtype of the queries and keys of the kernel, and of the channels.
        causal: Whether the mask of the kernel hides the keys after each query.
        pieces: How many numbers of `dtype` stand for one number. More of them are more
            exact in 16 bits, and make more channels. By default 2 for ALiBi, where one
            is not exact, and for other schemes 1 or what their docstring says.
        precision: Precision of matrix products that make the channels.

    Returns:
        Channels of the queries and of the keys, with the batch axes on which they
        depend. A traced position out of range gives NaN in its channels.

    Raises:
        TypeError: If `bias` is not a record of a position bias.
        ValueError: If the bias is no sum of few products, with the way out; otherwise
            as for `apply_position_bias`.

    Example:
        >>> bias = AlibiBias(1, form="signed")
        >>> channels = position_bias_channels(
        ...     bias, None, [2], range(3), scale=0.5, dtype=jnp.float32)
        >>> jnp.einsum("qhc,khc->hqk", *channels) * 0.5
        Array([[[-0.0078125 , -0.00390625,  0.        ]]], dtype=float32)

    Reference:
        Press et al., Train Short, Test Long, 2022, section 3, for the bias.
        https://arxiv.org/abs/2108.12409
    """
    check_flags(causal=causal)
    if dtype is None:
        raise ValueError("dtype must be that of the queries and keys, not None.")
    dtype = result_dtype("dtype", dtype, dtype)
    scale = number("scale", scale, FLOAT32_TINY, FLOAT32_MAX)
    kernel = Kernel(
        # Kernels multiply with the scale in the dtype in which they add up.
        scale=float(compute_dtype(dtype).type(scale)),
        dtype=dtype,
        causal=bool(causal),
        pieces=None if pieces is None else positive_integer("pieces", pieces),
    )
    pairs, content = checked_inputs(
        bias, params, q_positions, k_positions, q, k, precision
    )
    of_q, of_k = channels_of(bias, params, pairs, content, kernel)
    return PositionChannels(
        q=_tokens_first(of_q, pairs.q_valid), k=_tokens_first(of_k, pairs.k_valid)
    )


def _tokens_first(channels, valid):
    """Channels with the heads after the tokens, and NaN at invalid positions."""
    channels = jnp.moveaxis(channels, -3, -2)
    if valid is not None:
        shape = jnp.broadcast_shapes(channels.shape[:-2], valid.shape)
        channels = jnp.broadcast_to(channels, (*shape, *channels.shape[-2:]))
        valid = jnp.broadcast_to(valid, shape)
    return nan_where_invalid(valid, channels)
