"""A gate of the hidden state on a position bias: WavLM."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, SupportsFloat, SupportsIndex

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
from ..core.content import PerHead
from ..core.distances import of_rank
from ..core.entries import entry_at
from ..core.record import PositionBias, check_bias, set_fields

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


class GatedBiasParams(NamedTuple):
    """Parameters of a gated position bias.

    Attributes:
        bias: Parameters of the bias that is gated.
        gate: Parameters of the gate.
    """

    bias: Any
    gate: BiasGateParams


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
    weight = init_std * jax.random.normal(key, shape, compute_dtype(dtype))
    return BiasGateParams(
        weight=weight.astype(dtype),
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
    _check_gate("params", params, x.shape[-2], x.shape[-1], " of x")
    wide = compute_dtype(x.dtype, *(leaf.dtype for leaf in params))
    x = jnp.moveaxis(jnp.asarray(x, wide), -2, -3)
    return _gate(params, x, precision, wide)


def _gate(params, x, precision, dtype):
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


def _check_gate(argument, params, num_heads, head_dim, whose=""):
    check_params(params, BiasGateParams, argument)
    check_table(f"{argument}.weight", params.weight)
    shapes = {"weight": (head_dim, 2 * _OUTPUTS), "bias": (2 * _OUTPUTS,)}
    for part, shape in (shapes | {"scale": (num_heads,)}).items():
        array = float_array(f"{argument}.{part}", getattr(params, part))
        if array.shape != shape:
            raise ValueError(
                f"{argument}.{part}.shape={array.shape} must be {shape} for "
                f"{num_heads} heads of width {head_dim}{whose}."
            )


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class GatedBias(PositionBias):
    """A position bias times a gate that reads the hidden state of the query.

    `q` of `apply_position_bias` are the hidden states that enter the attention, split
    among the heads, `(*batch, q_len, num_heads, head_dim)`; see `apply_bias_gate` for
    the gate. Parameters are a `GatedBiasParams`.

    Args:
        bias: The record of the bias that is gated, which reads positions alone.
        head_dim: Width of a head's part of the hidden state. Positive.

    Raises:
        TypeError: If `bias` is not a record of a position bias.
        ValueError: If `bias` reads more than positions, or `head_dim` is not positive.

    Example:
        >>> GatedBias(T5Bias(12, 320, 800, bidirectional=True), 64).num_heads
        12

    Reference:
        Chen et al., WavLM, 2022, eqs. 3 to 6. https://arxiv.org/abs/2110.13900
    """

    bias: PositionBias
    head_dim: int
    num_heads: int = field(init=False, repr=False)

    @public
    def __init__(self, bias: PositionBias, head_dim: SupportsIndex):
        check_bias(bias)
        if bias._reads:
            raise ValueError(f"{bias=} must read positions alone.")
        head_dim = positive_integer("head_dim", head_dim)
        set_fields(self, bias=bias, head_dim=head_dim, num_heads=bias.num_heads)

    @property
    def _bounds(self):
        return self.bias._bounds

    @property
    def _k_bounds(self):
        return self.bias._k_bounds

    @property
    def _reads(self):
        return {"q": PerHead(self.num_heads, self.head_dim)}

    def _init(self, key, init_std, dtype):
        bias_key, gate_key = jax.random.split(key)
        return GatedBiasParams(
            bias=self.bias._init(bias_key, init_std, dtype),
            gate=init_bias_gate(
                gate_key, self.num_heads, self.head_dim, init_std=init_std, dtype=dtype
            ),
        )

    def _check(self, params):
        check_params(params, GatedBiasParams)
        self.bias._check(params.bias)
        _check_gate("params.gate", params.gate, self.num_heads, self.head_dim)

    def _gates(self, params, content):
        dtype = compute_dtype(
            content.q.dtype, *(leaf.dtype for leaf in jax.tree.leaves(params))
        )
        return _gate(params.gate, content.q, content.precision, dtype)

    def _matrix(self, params, pairs, content, dtype):
        gates = self._gates(params, content)
        biases = self.bias._matrix(
            params.bias, pairs, content._replace(q=None), gates.dtype
        )
        rank = max(biases.ndim, gates.ndim)
        return (of_rank(gates, rank) * of_rank(biases, rank)).astype(dtype)

    def _score(self, params, pairs, content):
        gate = entry_at(self._gates(params, content)[..., 0], 2)
        of_pair = self.bias._score(params.bias, pairs, content._replace(q=None))

        def bias(batch, head, q_index, k_index):
            return gate(batch, head, q_index) * of_pair(batch, head, q_index, k_index)

        return bias
