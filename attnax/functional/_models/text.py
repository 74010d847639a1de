"""The input of text models: embedded tokens, positions and token types."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat, SupportsIndex

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import (
    check_key,
    check_out_sharding,
    check_params,
    check_table,
    integer,
    integer_array,
    positive_integer,
    row_indices,
)
from ..._dtypes import compute_dtype, result_dtype
from ..._public import public
from ..._sharding import leading_rows, sharding_beside
from .._tables.add import add_rows
from .._tables.learned import (
    LearnedPositionalEmbeddingParams,
    init_learned_positional_embedding,
)
from .._tables.lookup import default_positions, lookup_rows
from .._tables.selected import check_looked_up
from .._tables.token import (
    TokenEmbeddingParams,
    init_token_embedding,
    rounded_scale,
)
from .text_checks import check_tables


class TextEmbeddingParams(NamedTuple):
    """Parameters of the embedding of a text model.

    Attributes:
        token: One row per token of the vocabulary.
        positions: One row per position, or `None`.
        token_types: One row per type of token (sentence A, sentence B), or `None`.
    """

    token: TokenEmbeddingParams
    positions: LearnedPositionalEmbeddingParams | None
    token_types: TokenEmbeddingParams | None


@public
def init_text_embedding(
    key: PRNGKeyArray,
    vocab_size: SupportsIndex,
    d_model: SupportsIndex,
    *,
    num_positions: SupportsIndex | None,
    num_token_types: SupportsIndex | None = None,
    init_std: SupportsFloat = 0.02,
    padding_id: SupportsIndex | None = None,
    dtype: DTypeLike | None = None,
) -> TextEmbeddingParams:
    """Draws the tables of `apply_text_embedding`.

    Args:
        key: A JAX random key.
        vocab_size: Number of tokens. Positive.
        d_model: Width of the embedding. Positive.
        num_positions: Number of rows of the table of positions, including those kept
            for padding. `None` means no table.
        num_token_types: Number of types of tokens. The default, `None`, means no table.
        init_std: Standard deviation of the normal distribution of each table. Not
            negative.
        padding_id: Id of a token whose row starts as zeros.
        dtype: Dtype of the tables. The default, `None`, is JAX's default float.

    Returns:
        The tables of tokens, positions and types.

    Raises:
        ValueError: If `key` is not one random key, a size is not positive, `init_std`
            is negative, `dtype` is not a real float, or `padding_id` is outside the
            vocabulary.

    Example:
        >>> key, sizes = jax.random.key(0), dict(num_positions=8, num_token_types=2)
        >>> params = init_text_embedding(key, 10, 4, **sizes)
        >>> params.positions.weight.shape, params.token_types.weight.shape
        ((8, 4), (2, 4))

    Reference:
        Devlin et al., BERT, 2018, section 3 and figure 2.
        https://arxiv.org/abs/1810.04805
    """
    check_key(key)
    keys = jax.random.split(key, 3)
    token = init_token_embedding(
        keys[0],
        vocab_size,
        d_model,
        init_std=init_std,
        padding_id=padding_id,
        dtype=dtype,
    )
    positions = token_types = None
    if num_positions is not None:
        positions = init_learned_positional_embedding(
            keys[1], num_positions, d_model, init_std=init_std, dtype=dtype
        )
    if num_token_types is not None:
        num_token_types = positive_integer("num_token_types", num_token_types)
        token_types = init_token_embedding(
            keys[2], num_token_types, d_model, init_std=init_std, dtype=dtype
        )
    return TextEmbeddingParams(token, positions, token_types)


@public
def apply_text_embedding(
    params: TextEmbeddingParams,
    token_ids: Integer[Array | np.ndarray, "*batch seq_len"] | Sequence,
    *,
    token_type_ids: Integer[Array | np.ndarray, "*batch seq_len"]
    | Sequence
    | None = None,
    positions: Integer[Array | np.ndarray, "*#batch seq_len"] | Sequence | None = None,
    dtype: DTypeLike | None = None,
    scale: SupportsFloat | None = None,
    padding_id: SupportsIndex | None = None,
    padding_position: SupportsIndex | None = None,
    out_sharding: NamedSharding | PartitionSpec | None = None,
) -> Float[Array, "*batch seq_len d_model"]:
    """Returns the sum of the embeddings of each token, its type and its position.

    The sum is computed in float32 or wider and rounded once. BERT, RoBERTa, GPT-2, OPT,
    BART and the text towers of CLIP and SigLIP start with it. Where a LayerNorm
    follows, the caller applies it.

    Args:
        params: Parameters whose tables have the same width.
        token_ids: Ids in `[0, vocab_size)`.
        token_type_ids: One type per token, zeros for a single sentence. They must be
            given if, and only if, there is a table of types.
        positions: Positions in `[0, num_positions)`; batch axes broadcast against those
            of `token_ids`. The default, `None`, is `0 ... seq_len - 1`.
            `padded_positions` returns those of RoBERTa and OPT.
        dtype: Dtype of the result. The default, `None`, is that of the table of tokens.
        scale: Factor of the rows of tokens, `d_model ** 0.5` in a BART with
            `scale_embedding`.
        padding_id: Id of a token whose row gets no gradient. The row is read as it is.
        padding_position: Position whose row gets no gradient. In RoBERTa it equals
            `padding_id`.
        out_sharding: Sharding of the result, under a mesh with explicit axes. The
            default, `None`, is that of `token_ids`, with `d_model` not sharded.

    Returns:
        One vector per token. A traced id, type or position outside its table gives a
        row of NaN, which adds nothing to the gradients of other rows. Where `seq_len`
        is a symbol of `jax.export`, a token past the table of positions also gives
        NaN.

    Raises:
        ValueError: If types or positions come without their table, a table of types
            comes without types, tables differ in width, shapes do not fit, `seq_len` is
            longer than the table of positions, a dtype is not a real float that holds
            NaN, `scale` is not a finite number, a padding is outside its table, or an
            index that is known outside every transformation is out of range.

    Example:
        >>> key = jax.random.key(0)
        >>> params = init_text_embedding(key, 10, 4, num_positions=8, num_token_types=2)
        >>> ids = jnp.array([[5, 6, 7]])
        >>> apply_text_embedding(params, ids, token_type_ids=jnp.zeros_like(ids)).shape
        (1, 3, 4)

    Reference:
        Devlin et al., BERT, 2018, section 3 and figure 2.
        https://arxiv.org/abs/1810.04805; Liu et al., RoBERTa, 2019.
        https://arxiv.org/abs/1907.11692
    """
    check_out_sharding(out_sharding)
    check_params(params, TextEmbeddingParams)
    token, learned, types = params
    check_params(token, TokenEmbeddingParams, "params.token")
    check_params(
        learned, LearnedPositionalEmbeddingParams, "params.positions", optional=True
    )
    check_params(types, TokenEmbeddingParams, "params.token_types", optional=True)
    for table_name, table in zip(params._fields, params, strict=True):
        if table is not None:
            check = check_table if table is learned else check_looked_up
            check(f"params.{table_name}.weight", table.weight)
    dtype = result_dtype("dtype", dtype, token.weight.dtype)
    token_ids = integer_array("token_ids", token_ids)
    if token_type_ids is not None:
        token_type_ids = integer_array("token_type_ids", token_type_ids)
    if positions is not None:
        positions = integer_array("positions", positions)
    if padding_id is not None:
        padding_id = integer("padding_id", padding_id, 0, token.weight.shape[0] - 1)
    weights = [table.weight for table in (token, learned, types) if table is not None]
    check_tables(params, token_ids, token_type_ids, positions)
    if padding_position is not None:
        if learned is None or positions is None:
            raise ValueError(f"{padding_position=} must come with positions.")
        last = learned.weight.shape[0] - 1
        padding_position = integer("padding_position", padding_position, 0, last)
    seq_len = token_ids.shape[-1]
    if learned is not None and positions is None:
        num_positions = learned.weight.shape[0]
        positions = default_positions(seq_len, num_positions, "the text")
    wide = compute_dtype(*(weight.dtype for weight in weights))

    def rows_of(weight, argument, indices, sharding, frozen_row=None):
        indices = row_indices(argument, indices, weight.shape[0])
        rows = lookup_rows(
            weight, indices, frozen_row=frozen_row, out_sharding=sharding
        )
        return rows.astype(wide)

    x = rows_of(token.weight, "token_ids", token_ids, out_sharding, padding_id)
    if scale is not None:
        x = x * rounded_scale(scale, wide, wide)
    if types is not None:
        sharding = sharding_beside(x, token_ids.shape)
        x = x + rows_of(types.weight, "token_type_ids", token_type_ids, sharding)
    if learned is not None and positions is not None:
        sharding = sharding_beside(x, positions.shape)
        rows = rows_of(
            learned.weight, "positions", positions, sharding, padding_position
        )
        x = add_rows(x, rows)
    elif learned is not None:
        sharding = sharding_beside(x, (seq_len,))
        rows = leading_rows(learned.weight, seq_len, sharding)
        x = add_rows(x, rows.astype(wide))
    return x.astype(dtype)
