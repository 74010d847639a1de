"""Fused embedding as an Equinox module."""

from collections.abc import Sequence
from typing import Literal, SupportsFloat, SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray, Real

from .. import functional as F
from .._checks import integers
from .._dtypes import float_dtype
from .._public import public
from ._made import check_call


class FusedEmbedding(eqx.Module):
    """Looks up a row in each of several tables that lie in one array.

    It does what `attnax.functional.apply_fused_embedding` does.

    Args:
        row_counts: Number of rows of each table. Positive.
        d_model: Width of the rows. Positive.
        combine: `"sum"`, `"mean"` or `"concatenate"` of the rows, or `None` for an axis
            of tables.
        init_std: Standard deviation of the normal distribution. Not negative.
        dtype: Dtype of the array. `None` is JAX's default float.
        accumulation_dtype: Dtype to which a sum is rounded after each addition. `None`
            is that of the arithmetic.
        row_multiple: Number that divides the rows of the array.
        out_sharding: Sharding of the array, which is drawn shard by shard.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, another argument breaks its
            rule, or one option contradicts another.

    Example:
        >>> codebooks = FusedEmbedding((1024,) * 4, 8, key=jax.random.key(0))
        >>> codebooks(jnp.zeros((2, 5, 4), int)).shape
        (2, 5, 8)

    Reference:
        Copet et al., Simple and Controllable Music Generation, 2023, section 2.
        https://arxiv.org/abs/2306.05284
    """

    params: F.FusedEmbeddingParams
    row_counts: tuple[int, ...] = eqx.field(static=True)
    combine: Literal["sum", "mean", "concatenate"] | None = eqx.field(static=True)
    accumulation_dtype: np.dtype | None = eqx.field(static=True)

    @public
    def __init__(
        self,
        row_counts: Sequence[SupportsIndex] | np.ndarray,
        d_model: SupportsIndex,
        *,
        key: PRNGKeyArray,
        combine: Literal["sum", "mean", "concatenate"] | None = "sum",
        init_std: SupportsFloat = 0.02,
        dtype: DTypeLike | None = None,
        accumulation_dtype: DTypeLike | None = None,
        row_multiple: SupportsIndex = 1,
        out_sharding: NamedSharding | None = None,
    ):
        self.params = F.init_fused_embedding(
            key,
            row_counts,
            d_model,
            init_std=init_std,
            dtype=dtype,
            row_multiple=row_multiple,
            out_sharding=out_sharding,
        )
        self.row_counts = integers("row_counts", row_counts)
        self.combine = combine
        self.accumulation_dtype = None
        if accumulation_dtype is not None:
            dtype = float_dtype("accumulation_dtype", accumulation_dtype)
            self.accumulation_dtype = dtype

    @public
    def __check_init__(self):
        ids = jax.ShapeDtypeStruct((len(self.row_counts),), np.int32)
        check_call(FusedEmbedding, self, ids)

    @property
    def weight(self) -> Float[Array, "num_rows d_model"]:
        """The array of all tables, one after another."""
        return self.params.weight

    @public
    @jax.named_scope("attnax.nn.FusedEmbedding")
    def __call__(
        self,
        ids: Integer[Array | np.ndarray, "*batch num_tables"] | Sequence,
        *,
        factors: Real[Array | np.ndarray, "*factors"]
        | Sequence
        | SupportsFloat
        | None = None,
        dtype: DTypeLike | None = None,
        vocab_axis: str | tuple[str, ...] | None = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "..."]:
        """Looks up an id of each table, each counted from 0; `factors` multiply rows.

        The result has `dtype`, by default that of the array. `vocab_axis` names the
        mesh axis over which the rows of the array are sharded.
        """
        return F.apply_fused_embedding(
            self.params,
            ids,
            row_counts=self.row_counts,
            combine=self.combine,
            factors=factors,
            dtype=dtype,
            accumulation_dtype=self.accumulation_dtype,
            vocab_axis=vocab_axis,
            out_sharding=out_sharding,
        )
