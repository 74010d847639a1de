"""The embedding of a text model as an Equinox module."""

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
from .._public import public
from ..interop import EmbeddingCheckpoint
from ._made import check_call, from_fields, params_of


class TextEmbedding(eqx.Module):
    """Adds tokens, positions and token types, as `apply_text_embedding` does.

    Args:
        vocab_size: Number of tokens. Positive.
        d_model: Width of the embedding. Positive.
        num_positions: Number of positions. `None` is no table of positions.
        num_token_types: Number of token types. `None` is no table of types.
        init_std: Standard deviation of the normal distribution of every table. Not
            negative.
        scale: Factor applied to the rows of tokens. `None` is no factor.
        padding_id: Token whose row starts as zeros and gets no gradient.
        padding_position: Position whose row gets no gradient.
        dtype: Dtype of the tables. `None` is JAX's default float.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, another argument breaks its
            rule, or a padding token or position is outside its table.

    Example:
        >>> sizes = dict(num_positions=8, num_token_types=2)
        >>> embedding = TextEmbedding(10, 4, **sizes, key=jax.random.key(0))
        >>> ids = jnp.array([[5, 6, 7]])
        >>> embedding(ids, token_type_ids=jnp.zeros_like(ids)).shape
        (1, 3, 4)

    Reference:
        Devlin et al., BERT, 2018, section 3 and figure 2.
        https://arxiv.org/abs/1810.04805
    """

    params: F.TextEmbeddingParams
    scale: float | int | None = eqx.field(static=True)
    padding_id: int | None = eqx.field(static=True)
    padding_position: int | None = eqx.field(static=True)

    @public
    def __init__(
        self,
        vocab_size: SupportsIndex,
        d_model: SupportsIndex,
        *,
        num_positions: SupportsIndex | None,
        num_token_types: SupportsIndex | None = None,
        init_std: SupportsFloat = 0.02,
        scale: SupportsFloat | None = None,
        padding_id: SupportsIndex | None = None,
        padding_position: SupportsIndex | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        self.params = F.init_text_embedding(
            key,
            vocab_size,
            d_model,
            num_positions=num_positions,
            num_token_types=num_token_types,
            init_std=init_std,
            padding_id=padding_id,
            dtype=dtype,
        )
        self.scale = plain_number(scale)
        self.padding_id = plain_number(padding_id)
        self.padding_position = plain_number(padding_position)

    @classmethod
    @public
    def from_checkpoint(
        cls,
        checkpoint: EmbeddingCheckpoint,
        *,
        scale: SupportsFloat | None = None,
        padding_id: SupportsIndex | None = None,
        padding_position: SupportsIndex | None = None,
    ) -> "TextEmbedding":
        """Returns a module with the tables of a released model; draws nothing.

        Args:
            checkpoint: Result of `attnax.interop.params_from_checkpoint` for a family
                of text embeddings.
            scale: Factor applied to the rows of tokens. `None` is no factor.
            padding_id: Token whose row gets no gradient.
            padding_position: Position whose row gets no gradient.

        Returns:
            A `TextEmbedding` that holds the arrays of the checkpoint.

        Raises:
            ValueError: If the checkpoint holds other parameters, or an option breaks
                its rule.

        Example:
            >>> from attnax.interop import params_from_checkpoint
            >>> sizes = {"wte.weight": (9, 4), "wpe.weight": (5, 4)}
            >>> weights = {name: jnp.ones(size) for name, size in sizes.items()}
            >>> checkpoint = params_from_checkpoint(weights, "gpt2")
            >>> TextEmbedding.from_checkpoint(checkpoint)(jnp.arange(3)).shape
            (3, 4)

        Reference:
            Radford et al., Language Models are Unsupervised Multitask Learners, 2019,
            section 2.3.
        """
        return from_fields(
            cls,
            params=params_of(checkpoint, F.TextEmbeddingParams),
            scale=scale,
            padding_id=padding_id,
            padding_position=padding_position,
        )

    @public
    def __check_init__(self):
        one = jax.ShapeDtypeStruct((1,), np.int32)
        types = None if self.params.token_types is None else one
        positions = None if self.padding_position is None else one
        check_call(TextEmbedding, self, one, token_type_ids=types, positions=positions)

    @public
    @jax.named_scope("attnax.nn.TextEmbedding")
    def __call__(
        self,
        token_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
        *,
        token_type_ids: Integer[Array | np.ndarray, "*batch seq_len"]
        | Sequence
        | None = None,
        positions: Integer[Array | np.ndarray, "*#batch seq_len"]
        | Sequence
        | None = None,
        dtype: DTypeLike | None = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch seq_len d_model"]:
        """Returns the sum of the rows of tokens, of their types and of their positions.

        The result has the sharding `out_sharding`, by default that of `token_ids`.
        """
        return F.apply_text_embedding(
            self.params,
            token_ids,
            token_type_ids=token_type_ids,
            positions=positions,
            dtype=dtype,
            scale=self.scale,
            padding_id=self.padding_id,
            padding_position=self.padding_position,
            out_sharding=out_sharding,
        )
