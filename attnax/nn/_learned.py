"""Learned positions as an Equinox module."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._public import public


class LearnedPositionalEmbedding(eqx.Module):
    """Adds learned positions, as `apply_learned_positional_embedding` does.

    Args:
        num_positions: Number of positions. Positive.
        d_model: Width of the embedding. Positive.
        init_std: Standard deviation of the normal distribution, which is truncated at
            two standard deviations. Not negative.
        dtype: Dtype of the table. `None` is JAX's default float.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, `init_std` is negative, or
            `dtype` is not a real float.

    Example:
        >>> key = jax.random.key(0)
        >>> positions = LearnedPositionalEmbedding(num_positions=8, d_model=4, key=key)
        >>> positions(jnp.zeros((2, 5, 4))).shape
        (2, 5, 4)

    Reference:
        Gehring et al., Convolutional Sequence to Sequence Learning, 2017, section 3.1.
        https://arxiv.org/abs/1705.03122
    """

    params: F.LearnedPositionalEmbeddingParams

    @public
    def __init__(
        self,
        *,
        num_positions: SupportsIndex,
        d_model: SupportsIndex,
        init_std: SupportsFloat = 0.02,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        self.params = F.init_learned_positional_embedding(
            key, num_positions, d_model, init_std=init_std, dtype=dtype
        )

    @property
    def weight(self) -> Float[Array, "num_positions d_model"]:
        """The table, one row per position."""
        return self.params.weight

    @public
    @jax.named_scope("attnax.nn.LearnedPositionalEmbedding")
    def __call__(
        self,
        x: Float[Array | np.ndarray, "*batch seq_len d_model"],
        positions: Integer[Array | np.ndarray, "*#batch seq_len"]
        | Sequence
        | None = None,
        *,
        out_sharding: NamedSharding | PartitionSpec | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch seq_len d_model"]:
        """Adds the vectors of `positions`, by default `0 ... seq_len - 1`, to `x`.

        The result has the sharding `out_sharding`, by default that of `x`.
        """
        return F.apply_learned_positional_embedding(
            self.params, x, positions, out_sharding=out_sharding
        )
