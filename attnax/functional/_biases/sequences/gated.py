"""A position bias times a gate of the hidden state: WavLM."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, SupportsIndex

import jax

from ...._checks import check_params, positive_integer
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.content import PerHead, float_dtypes
from ..core.distances import of_rank
from ..core.entries import entry_at
from ..core.record import PositionBias, check_bias, set_fields
from .gate import BiasGateParams, check_gate, gates_of, init_bias_gate


class GatedBiasParams(NamedTuple):
    """Parameters of a gated position bias.

    Attributes:
        bias: Parameters of the bias that is gated.
        gate: Parameters of the gate.
    """

    bias: Any
    gate: BiasGateParams


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

    def _check(self, params, argument="params"):
        check_params(params, GatedBiasParams, argument)
        self.bias._check(params.bias, f"{argument}.bias")
        gate = f"{argument}.gate"
        check_gate(params.gate, self.num_heads, self.head_dim, gate)

    def _gates(self, params, content):
        dtype = compute_dtype(*float_dtypes((content.q, params)))
        return gates_of(params.gate, content.q, content.precision, dtype)

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
