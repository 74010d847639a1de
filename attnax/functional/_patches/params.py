"""The parameters of a patch embedding: their form, their draw and their check."""

import math
from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ..._checks import (
    check_flags,
    check_key,
    check_params,
    float_array,
    positive_integer,
    side_lengths,
)
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public


class PatchEmbeddingParams(NamedTuple):
    """Parameters of a patch embedding.

    Attributes:
        weight: One row per feature of a patch, in (row, column, channel) order, or for
            video in (frame, row, column, channel) order.
        bias: Vector that is added to every patch, or `None`.
    """

    weight: Float[Array, "patch_dim d_model"]
    bias: Float[Array, " d_model"] | None


@public
def init_patch_embedding(
    key: PRNGKeyArray,
    *,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
    num_channels: SupportsIndex,
    d_model: SupportsIndex,
    use_bias: bool = True,
    dtype: DTypeLike | None = None,
) -> PatchEmbeddingParams:
    """Draws a patch embedding with a LeCun-normal weight and a zero bias.

    Args:
        key: A JAX random key.
        patch_size: Side of a patch in pixels, `(height, width)`, or for video
            `(frames, height, width)`.
        num_channels: Channels of the image. Positive.
        d_model: Width of the embedding. Positive.
        use_bias: Whether there is a bias.
        dtype: Dtype of the parameters, which are drawn in float32 or wider and rounded
            once. The default, `None`, is JAX's default float.

    Returns:
        Parameters with a `weight` of `(product of patch_size * channels, d_model)`. It
        is drawn from a normal distribution truncated at two standard deviations, with
        variance `1 / rows`.

    Raises:
        ValueError: If `key` is not one random key, a size is not positive, or `dtype`
            is not a real float.

    Example:
        >>> key = jax.random.key(0)
        >>> sizes = dict(patch_size=4, num_channels=3, d_model=8)
        >>> init_patch_embedding(key, **sizes).weight.shape
        (48, 8)

    Reference:
        LeCun et al., Efficient BackProp, 1998, section 4.6; Dosovitskiy et al., 2021,
        section 3.1. https://arxiv.org/abs/2010.11929
    """
    check_key(key)
    patch = side_lengths("patch_size", patch_size)
    num_channels = positive_integer("num_channels", num_channels)
    d_model = positive_integer("d_model", d_model)
    check_flags(use_bias=use_bias)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    draw = jax.nn.initializers.lecun_normal()
    shape = (math.prod(patch) * num_channels, d_model)
    weight = draw(key, shape, compute_dtype(dtype)).astype(dtype)
    bias = jnp.zeros((d_model,), dtype) if use_bias else None
    return PatchEmbeddingParams(weight=weight, bias=bias)


def check_patch_params(params, argument):
    """Raises unless the parameters are arrays of real floats that fit each other."""
    check_params(params, PatchEmbeddingParams, argument)
    weight, bias = params
    float_array(f"{argument}.weight", weight, nan=False)
    weight_shape = f"{argument}.weight.shape={weight.shape}"
    if weight.ndim != 2:
        raise ValueError(f"{weight_shape} must have two axes.")
    if bias is None:
        return
    float_array(f"{argument}.bias", bias, nan=False)
    if bias.shape != weight.shape[1:]:
        raise ValueError(
            f"{argument}.bias.shape={bias.shape} must be that of a row of "
            f"{weight_shape}."
        )
