"""Queries, keys and values of an attention kernel, with the channels of a bias."""

from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._checks import (
    broadcast_batches,
    check_flags,
    check_params,
    float_array,
    positive_integer,
)
from ..._public import public
from ..._sharding import explicit_axes, sharding_like, spread
from .channels import PositionChannels


@public
def append_channels(
    channels: PositionChannels,
    q: Float[Array | np.ndarray, "*q_batch q_len num_heads head_dim"],
    k: Float[Array | np.ndarray, "*k_batch k_len num_kv_heads head_dim"],
    v: Float[Array | np.ndarray, "*v_batch k_len num_kv_heads value_dim"],
    *,
    multiple_of: SupportsIndex = 1,
    pad_values: bool = True,
) -> tuple[
    Float[Array, "*all_q_batch q_len num_heads width"],
    Float[Array, "*all_k_batch k_len num_kv_heads width"],
    Float[Array, "*v_batch k_len num_kv_heads new_value_dim"],
]:
    """Returns queries and keys with the channels of a position bias, and values.

    The kernel must be given the scale that the channels were made for: its default
    would depend on the new width.

    Args:
        channels: Result of `position_bias_channels`.
        q: Queries. Their dtype is that of the channels.
        k: Keys, whose heads divide those of the queries.
        v: Values.
        multiple_of: A number of which the new width of queries and keys is a multiple;
            zeros fill it up. cuDNN needs 8.
        pad_values: Whether all three get zeros up to one width, as
            `jax.nn.dot_product_attention` needs. Cut the result to the width of the
            values: `[..., :value_dim]`. Splash attention and tokamax take values as
            they are.

    Returns:
        Queries, keys and values.

    Raises:
        ValueError: If dtypes differ, or if shapes do not fit.

    Example:
        >>> bias, x = AlibiBias(2, form="signed"), np.ones((3, 2, 4), np.float32)
        >>> channels = position_bias_channels(
        ...     bias, None, range(3), range(3), scale=0.5, dtype=x.dtype)
        >>> [y.shape for y in append_channels(channels, x, x, x, multiple_of=8)]
        [(3, 2, 8), (3, 2, 8), (3, 2, 8)]

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, eq. 1, for the scores.
        https://arxiv.org/abs/1706.03762
    """
    multiple_of = positive_integer("multiple_of", multiple_of)
    check_flags(pad_values=pad_values)
    q = float_array("q", q, "q_len", "num_heads", "head_dim", nan=False)
    k = float_array("k", k, "k_len", "num_kv_heads", "head_dim", nan=False)
    v = float_array("v", v, "k_len", "num_kv_heads", "value_dim", nan=False)
    if k.shape[-1] != q.shape[-1]:
        raise ValueError(f"{k.shape=} must have the width of {q.shape=}.")
    if v.shape[-3:-1] != k.shape[-3:-1]:
        raise ValueError(f"{v.shape=} must have the tokens and heads of {k.shape=}.")
    of_q, of_k = _for_heads(channels, q.shape[-2], k.shape[-2])
    q, k = (_appended(*one) for one in (("q", q, of_q), ("k", k, of_k)))
    width = max(q.shape[-1], v.shape[-1]) if pad_values else q.shape[-1]
    width = -(-width // multiple_of) * multiple_of
    q, k = _with_zeros(q, width), _with_zeros(k, width)
    return q, k, _with_zeros(v, width) if pad_values else jnp.asarray(v)


def _for_heads(channels, num_heads, num_kv_heads):
    """Channels of queries and keys for heads of keys that groups of queries share.

    Keys whose channels differ among the queries of a group get the channels of all of
    them, and each query has zeros at those of the others.
    """
    check_params(channels, PositionChannels, "channels")
    of_q, of_k = (
        float_array(f"channels.{name}", x, "seq_len", "num_heads", "width", nan=False)
        for name, x in zip(channels._fields, channels, strict=True)
    )
    if of_q.shape[-2] != num_heads or num_heads % num_kv_heads:
        raise ValueError(
            f"q has {num_heads} heads and k has {num_kv_heads}, but channels are for "
            f"{of_q.shape[-2]} heads of queries, and heads of keys must divide them."
        )
    if of_k.shape[-2] in (1, num_kv_heads):
        return of_q, of_k
    group, width = num_heads // num_kv_heads, of_q.shape[-1]
    *tokens, _, _ = of_k.shape
    of_k = of_k.reshape(*tokens, num_kv_heads, group * width)
    *tokens, _, _ = of_q.shape
    of_q = of_q.reshape(*tokens, num_kv_heads, group, 1, width)
    own = jnp.eye(group, dtype=bool)[..., None]
    own = own.reshape((1,) * (of_q.ndim - 3) + own.shape)
    of_q = jnp.where(own, of_q, jnp.zeros((), of_q.dtype))
    return of_q.reshape(*tokens, num_heads, group * width), of_k


def _appended(argument, x, channels):
    if x.dtype != channels.dtype:
        raise ValueError(
            f"{argument}.dtype={x.dtype} must be that of the channels, "
            f"{channels.dtype}."
        )
    *batch, length, heads, _ = x.shape
    *its_batch, its_length, _, width = channels.shape
    if its_length != length:
        raise ValueError(
            f"{argument}.shape={x.shape} must have the tokens of the channels, "
            f"channels.{argument}.shape={channels.shape}."
        )
    batches = {argument: tuple(batch), f"channels.{argument}": tuple(its_batch)}
    batch = broadcast_batches(batches)
    x = jnp.broadcast_to(x, (*batch, *x.shape[-3:]))
    channels = jnp.broadcast_to(channels, (*batch, length, heads, width))
    axes = explicit_axes(x)
    sharding = None if axes is None else sharding_like(x, (*axes[:-1], None))
    return jnp.concatenate([spread(x, sharding), spread(channels, sharding)], -1)


def _with_zeros(x, width):
    missing = max(0, width - x.shape[-1])
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, missing)])
