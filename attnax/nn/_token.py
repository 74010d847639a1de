"""Token embedding as an Equinox module."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._checks import plain_number
from .._dtypes import float_dtype
from .._public import public
from ..interop import EmbeddingCheckpoint
from ._made import check_call, from_fields, params_of


class TokenEmbedding(eqx.Module):
    """Looks up tokens, as `attnax.functional.apply_token_embedding` does.

    Args:
        vocab_size: Number of tokens. Positive.
        d_model: Width of the embedding. Positive.
        init_std: Standard deviation of the normal distribution. Not negative.
        dtype: Dtype of the table. `None` is JAX's default float.
        padding_id: Token whose row starts as zeros and gets no gradient.
        mask_padding: Whether `padding_id` gives zeros, whatever its row holds.
        scale: Factor applied to each row. `None` is no factor.
        scale_dtype: Dtype to which `scale` is rounded before it is applied.
        valid_vocab_size: Number of tokens, where the table has further rows. Their
            logits are -inf. `None` is `vocab_size`.
        out_sharding: Sharding of the table, which is drawn shard by shard.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, another argument breaks its
            rule, or one option contradicts another.

    Example:
        >>> embedding = TokenEmbedding(10, 4, key=jax.random.key(0))
        >>> x = embedding(jnp.array([[1, 2, 3]]))
        >>> x.shape, embedding.unembed(x).shape
        ((1, 3, 4), (1, 3, 10))

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.4.
        https://arxiv.org/abs/1706.03762
    """

    params: F.TokenEmbeddingParams
    padding_id: int | None = eqx.field(static=True)
    mask_padding: bool = eqx.field(static=True)
    scale: float | int | None = eqx.field(static=True)
    scale_dtype: np.dtype | None = eqx.field(static=True)
    valid_vocab_size: int | None = eqx.field(static=True)

    @public
    def __init__(
        self,
        vocab_size: SupportsIndex,
        d_model: SupportsIndex,
        *,
        key: PRNGKeyArray,
        init_std: SupportsFloat = 0.02,
        dtype: DTypeLike | None = None,
        padding_id: SupportsIndex | None = None,
        mask_padding: bool = False,
        scale: SupportsFloat | None = None,
        scale_dtype: DTypeLike | None = None,
        valid_vocab_size: SupportsIndex | None = None,
        out_sharding: NamedSharding | None = None,
    ):
        self.params = F.init_token_embedding(
            key,
            vocab_size,
            d_model,
            init_std=init_std,
            dtype=dtype,
            padding_id=padding_id,
            out_sharding=out_sharding,
        )
        self.padding_id = plain_number(padding_id)
        self.mask_padding = mask_padding
        self.scale = plain_number(scale)
        self.scale_dtype = _scale_dtype(scale_dtype)
        self.valid_vocab_size = plain_number(valid_vocab_size)

    @classmethod
    @public
    def from_checkpoint(
        cls,
        checkpoint: EmbeddingCheckpoint,
        *,
        padding_id: SupportsIndex | None = None,
        mask_padding: bool = False,
        scale: SupportsFloat | None = None,
        scale_dtype: DTypeLike | None = None,
        valid_vocab_size: SupportsIndex | None = None,
    ) -> "TokenEmbedding":
        """Returns a module with the table of a released model; draws nothing.

        Args:
            checkpoint: Result of `attnax.interop.params_from_checkpoint` for a family
                of token tables.
            padding_id: Token whose row gets no gradient.
            mask_padding: Whether `padding_id` gives zeros, whatever its row holds.
            scale: Factor applied to each row. `None` is no factor.
            scale_dtype: Dtype to which `scale` is rounded before it is applied.
            valid_vocab_size: Number of tokens, where the table has further rows. `None`
                is the number of rows.

        Returns:
            A `TokenEmbedding` that holds the arrays of the checkpoint.

        Raises:
            ValueError: If the checkpoint holds other parameters, an option breaks its
                rule, or one option contradicts another.

        Example:
            >>> from attnax.interop import params_from_checkpoint
            >>> weights = {"model.embed_tokens.weight": jnp.ones((9, 4))}
            >>> checkpoint = params_from_checkpoint(weights, "llama")
            >>> TokenEmbedding.from_checkpoint(checkpoint)(jnp.arange(3)).shape
            (3, 4)

        Reference:
            Touvron et al., LLaMA, 2023, section 2. https://arxiv.org/abs/2302.13971
        """
        return from_fields(
            cls,
            params=params_of(checkpoint, F.TokenEmbeddingParams),
            padding_id=padding_id,
            mask_padding=mask_padding,
            scale=scale,
            scale_dtype=_scale_dtype(scale_dtype),
            valid_vocab_size=plain_number(valid_vocab_size),
        )

    @public
    def __check_init__(self):
        # One id without axes would be a slice, which JAX refuses on sharded rows.
        ids = jax.ShapeDtypeStruct((1,), np.int32)
        check_call(TokenEmbedding, self, ids)

    @property
    def weight(self) -> Float[Array, "vocab_size d_model"]:
        """The table, one row per token."""
        return self.params.weight

    @public
    @jax.named_scope("attnax.nn.TokenEmbedding")
    def __call__(
        self,
        token_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
        *,
        dtype: DTypeLike | None = None,
        vocab_axis: str | tuple[str, ...] | None = None,
        scatter_axis: SupportsIndex | None = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*rows d_model"]:
        """Looks up `token_ids`; the result has `dtype`, by default that of the table.

        The result has the sharding `out_sharding`, by default that of `token_ids`.
        `vocab_axis` and `scatter_axis` are those of `apply_token_embedding`.
        """
        return F.apply_token_embedding(
            self.params,
            token_ids,
            dtype=dtype,
            scale=self.scale,
            scale_dtype=self.scale_dtype,
            padding_id=self.padding_id,
            mask_padding=self.mask_padding,
            valid_vocab_size=self.valid_vocab_size,
            vocab_axis=vocab_axis,
            scatter_axis=scatter_axis,
            out_sharding=out_sharding,
        )

    @public
    @jax.named_scope("attnax.nn.TokenEmbedding.unembed")
    def unembed(
        self,
        x: Float[Array | np.ndarray, "*batch d_model"],
        *,
        dtype: DTypeLike | None = None,
        accumulation_dtype: DTypeLike | None = None,
        soft_cap: SupportsFloat | None = None,
        compute_dtype: DTypeLike | None = None,
        precision: jax.lax.PrecisionLike = None,
        vocab_axis: str | tuple[str, ...] | None = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> Float[Array, "*batch vocab_size"]:
        """Returns logits by the same table, as `apply_token_unembedding` does.

        For 16-bit `x`, a float32 table is rounded to the dtype of `x` before the
        product. With `vocab_axis`, the logits are sharded as the rows of the table.
        """
        return F.apply_token_unembedding(
            self.params,
            x,
            dtype=dtype,
            accumulation_dtype=accumulation_dtype,
            soft_cap=soft_cap,
            compute_dtype=compute_dtype,
            precision=precision,
            valid_vocab_size=self.valid_vocab_size,
            vocab_axis=vocab_axis,
            out_sharding=out_sharding,
        )

    @public
    @jax.named_scope("attnax.nn.TokenEmbedding.cross_entropy")
    def cross_entropy(
        self,
        hidden: Float[Array | np.ndarray, "*batch d_model"],
        targets: Integer[Array | np.ndarray, "*batch"] | Sequence | SupportsIndex,
        *,
        chunk_size: SupportsIndex,
        logit_scale: SupportsFloat | None = None,
        soft_cap: SupportsFloat | None = None,
        label_smoothing: SupportsFloat = 0.0,
        z_loss: SupportsFloat = 0.0,
        ignored_id: SupportsIndex | None = None,
        compute_dtype: DTypeLike | None = None,
        precision: jax.lax.PrecisionLike = None,
        vocab_axis: str | tuple[str, ...] | None = None,
        return_log_sum_exp: bool | np.bool_ = False,
    ) -> Float[Array, "*batch"] | tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
        """Returns the loss of each token, as `unembedding_cross_entropy` does.

        The logits are those of `unembed` times `logit_scale`, of `chunk_size` rows of
        the table at a time.
        """
        return F.unembedding_cross_entropy(
            self.params.weight,
            hidden,
            targets,
            chunk_size=chunk_size,
            logit_scale=logit_scale,
            soft_cap=soft_cap,
            label_smoothing=label_smoothing,
            z_loss=z_loss,
            ignored_id=ignored_id,
            valid_vocab_size=self.valid_vocab_size,
            compute_dtype=compute_dtype,
            precision=precision,
            vocab_axis=vocab_axis,
            return_log_sum_exp=return_log_sum_exp,
        )


def _scale_dtype(dtype):
    return None if dtype is None else float_dtype("scale_dtype", dtype)
