"""Position biases as an Equinox module."""

from collections.abc import Sequence
from typing import Any, SupportsFloat

import equinox as eqx
import jax
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Num, PRNGKeyArray

from .. import functional as F
from .._public import public
from ..functional._biases.core.record import check_bias
from ._made import from_fields


class RelativePositionBias(eqx.Module):
    """A position bias of attention: a record and its parameters.

    One module serves every scheme: that of T5 is `RelativePositionBias` of a `T5Bias`,
    that of Swin of a `WindowBias`. The leaves are the parameters; a scheme without
    parameters, such as ALiBi, has none.

    Args:
        bias: The record of the scheme.
        init_std: Standard deviation of what is drawn from a normal distribution, see
            `attnax.functional.init_position_bias`. Not negative.
        dtype: Dtype of the parameters. `None` is JAX's default float.
        key: A JAX random key.

    Attributes:
        bias: The record.
        params: Parameters of the record, or `None`.

    Raises:
        TypeError: If `bias` is not a record of a position bias.
        ValueError: If another argument is out of its range.

    Example:
        >>> t5 = T5Bias(8, bidirectional=True)
        >>> module = RelativePositionBias(t5, key=jax.random.key(0))
        >>> module(range(5), range(5)).shape
        (8, 5, 5)

    Reference:
        Shaw et al., Self-Attention with Relative Position Representations, 2018; the
        docstring of each record names the source of its scheme.
        https://arxiv.org/abs/1803.02155
    """

    bias: F.PositionBias = eqx.field(static=True)
    params: Any

    @public
    def __init__(
        self,
        bias: F.PositionBias,
        *,
        init_std: SupportsFloat = 0.02,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        self.bias = bias
        self.params = F.init_position_bias(key, bias, init_std=init_std, dtype=dtype)

    @classmethod
    @public
    def from_params(cls, bias: F.PositionBias, params: Any) -> "RelativePositionBias":
        """Returns a module of a record and parameters that are there already.

        Args:
            bias: The record of the scheme.
            params: Its parameters, such as those of a checkpoint, or `None` for a
                scheme without parameters. The module holds the same arrays.

        Returns:
            A `RelativePositionBias`.

        Raises:
            TypeError: If `bias` is not a record of a position bias.
            ValueError: If `params` are not those of the record.

        Example:
            >>> alibi = RelativePositionBias.from_params(AlibiBias(8), None)
            >>> jax.tree.leaves(alibi)
            []

        Reference:
            Press et al., Train Short, Test Long, 2022. https://arxiv.org/abs/2108.12409
        """
        return from_fields(cls, bias=bias, params=params)

    @public
    def __check_init__(self):
        check_bias(self.bias)
        self.bias._check(self.params)

    @public
    @jax.named_scope("attnax.nn.RelativePositionBias")
    def __call__(
        self,
        q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
        k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
        *,
        q: Num[Array | np.ndarray, "..."] | tuple | None = None,
        k: Num[Array | np.ndarray, "..."] | tuple | None = None,
        precision: PrecisionLike = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*all_batch num_heads q_len k_len"]:
        """Returns the bias of each head for every pair of a query and a key.

        Arguments and result are those of `attnax.functional.apply_position_bias`.
        """
        return F.apply_position_bias(
            self.bias,
            self.params,
            q_positions,
            k_positions,
            q=q,
            k=k,
            precision=precision,
            dtype=dtype,
        )
