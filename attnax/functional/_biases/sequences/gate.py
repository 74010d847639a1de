"""A gate of the hidden state for a position bias: WavLM."""

from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from ...._checks import (
    check_key,
    check_params,
    check_precision,
    check_table,
    float_array,
    number,
    positive_integer,
)
from ...._dtypes import compute_dtype, default_float_dtype, result_dtype
from ...._public import public
from ..core.distances import of_rank
from ..core.parameters import check_shapes, draw_normal

# Outputs of the linear map that are added up for each of the two sigmoids.
_OUTPUTS = 4


class BiasGateParams(NamedTuple):
    """Parameters of the gate of a position bias, which all heads share but `scale`.

    Attributes:
        weight: Linear map of a head's part of the hidden state.
        bias: Offset of that map.
        scale: Factor of each head on the second sigmoid.
    """

    weight: Float[Array, "head_dim 8"]
    bias: Float[Array, " 8"]
    scale: Float[Array, " num_heads"]


@public
def init_bias_gate(
    key: PRNGKeyArray,
    num_heads: SupportsIndex,
    head_dim: SupportsIndex,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> BiasGateParams:
    """Returns parameters for the gate of a position bias.

    The linear map is drawn from a normal distribution; offsets are 0 and scales are 1,
    so that gates are near 1.75.

    Args:
        key: A random key of JAX.
        num_heads: Number of heads. Positive.
        head_dim: Width of a head's part of the hidden state. Positive.
        init_std: Standard deviation of the linear map. Not negative.
        dtype: Dtype of the parameters, default JAX's float; they are drawn in float32
            or wider and rounded once.

    Returns:
        The parameters.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
        >>> init_bias_gate(jax.random.key(0), 12, 64).weight.shape
        (64, 8)

    Reference:
        Chen et al., WavLM, 2022, eqs. 3 to 6. https://arxiv.org/abs/2110.13900
    """
    check_key(key)
    num_heads = positive_integer("num_heads", num_heads)
    shape = positive_integer("head_dim", head_dim), 2 * _OUTPUTS
    init_std = number("init_std", init_std, 0)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    return BiasGateParams(
        weight=draw_normal(key, shape, init_std, dtype),
        bias=jnp.zeros(2 * _OUTPUTS, dtype),
        scale=jnp.ones(num_heads, dtype),
    )


@public
def apply_bias_gate(
    params: BiasGateParams,
    x: Float[Array | np.ndarray, "*batch q_len num_heads head_dim"],
    *,
    precision: PrecisionLike = None,
) -> Float[Array, "*batch num_heads q_len 1"]:
    """Returns the gate of each head and query, a factor on a position bias.

    The gate is `a * (b * scale - 1) + 2`, where `a` and `b` are the sigmoids of the
    sums of the first four and of the last four outputs of a linear map of the head's
    part of the hidden state.

    In WavLM, the bias is the table of the first layer, and each layer has a gate of its
    own: make the bias once with `apply_position_bias`, and multiply it by the gate in
    each layer. `GatedBias` does both, and also has the form of a function of scores.

    Args:
        params: Parameters, by `init_bias_gate` or from a checkpoint.
        x: Hidden states that enter the attention, split among the heads.
        precision: Precision of the matrix product.

    Returns:
        Gates in float32, or in float64 if `x` or a parameter is float64.

    Raises:
        ValueError: If shapes do not fit together.

    Example:
        >>> params = init_bias_gate(jax.random.key(0), 2, 4, init_std=0.0)
        >>> apply_bias_gate(params, jnp.ones((3, 2, 4))).shape
        (2, 3, 1)

    Reference:
        Chen et al., WavLM, 2022, eqs. 3 to 6. https://arxiv.org/abs/2110.13900
    """
    check_precision(precision)
    x = float_array("x", x, "q_len", "num_heads", "head_dim", nan=False)
    num_heads, head_dim = x.shape[-2:]
    check_gate(params, num_heads, head_dim, of="x")
    wide = compute_dtype(x.dtype, *(leaf.dtype for leaf in params))
    x = jnp.moveaxis(jnp.asarray(x, wide), -2, -3)
    return gates_of(params, x, precision, wide)


def gates_of(params, x, precision, dtype):
    """The gates `(*batch, num_heads, q_len, 1)` of `x`, heads first."""
    weight, bias, scale = (jnp.asarray(leaf, dtype) for leaf in params)
    outputs = jnp.matmul(jnp.asarray(x, dtype), weight, precision=precision)
    outputs = outputs + of_rank(bias, outputs.ndim)
    outputs = outputs.reshape(*outputs.shape[:-1], 2, _OUTPUTS).sum(-1)
    gates = jax.nn.sigmoid(outputs)
    # Not by iterating, which would gather an array on several devices outside `jit`.
    update, reset = gates[..., 0], gates[..., 1]
    scale = of_rank(scale[:, None], update.ndim)
    return (update * (reset * scale - 1) + 2)[..., None]


def check_gate(params, num_heads, head_dim, argument="params", of="the bias") -> None:
    """Raises unless `params` are those of a gate of these sizes, which `of` has."""
    check_params(params, BiasGateParams, argument)
    check_table(f"{argument}.weight", params.weight)
    shapes = {"weight": (head_dim, 2 * _OUTPUTS), "bias": (2 * _OUTPUTS,)}
    check_shapes(params, shapes | {"scale": (num_heads,)}, argument, of)
