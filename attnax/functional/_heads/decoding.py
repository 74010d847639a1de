"""The most likely tokens by a table, without the logits of all tokens."""

from functools import partial
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ..._checks import integer
from ..._public import public
from .candidates import largest_logits
from .head import head_of, on_table


@public
def unembedding_argmax(
    weight: Float[Array | np.ndarray, "rows d_model"],
    hidden: Float[Array | np.ndarray, "*batch d_model"],
    *,
    chunk_size: SupportsIndex,
    bias: Float[Array | np.ndarray, " rows"] | None = None,
    logit_scale: SupportsFloat | None = None,
    soft_cap: SupportsFloat | None = None,
    valid_vocab_size: SupportsIndex | None = None,
    compute_dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    vocab_axis: str | tuple[str, ...] | None = None,
) -> Int[Array, "*batch"]:
    """Returns the id of the largest logit, by chunks of the vocabulary.

    It is the first of equal logits, and the first NaN if there is one, as for
    `jnp.argmax`. Logits are compared in float32, or float64 for float64 operands.

    Args:
        weight: A table with one row per token.
        hidden: Hidden states.
        chunk_size: The most rows of the table that are multiplied at a time.
        bias: One number for each row of the table.
        logit_scale: Factor of the logits. Positive and finite.
        soft_cap: Bound of the logits. Positive and finite. Logits that it rounds to
            one number are equal.
        valid_vocab_size: Number of tokens of a table with more rows. `None` is the
            number of rows.
        compute_dtype: Dtype in which `hidden` and the table are multiplied, as in
            `apply_token_unembedding`.
        precision: Precision of the matrix products, as in `jax.lax.dot_general`.
        vocab_axis: Mesh axis, or axes, over which the rows of the table are sharded.

    Returns:
        One int32 id for each of the hidden states.

    Raises:
        ValueError: If a size is not a positive integer, shapes do not fit, an option
            breaks its rule, or the mesh has no such `vocab_axis` or does not divide the
            rows.

    Example:
        >>> unembedding_argmax(jnp.eye(3), jnp.array([[1.0, 3.0, 2.0]]), chunk_size=2)
        Array([1], dtype=int32)

    Reference:
        Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024.
        https://arxiv.org/abs/2411.09009
    """
    head, arrays = head_of(
        weight,
        hidden,
        chunk_size=chunk_size,
        bias=bias,
        logit_scale=logit_scale,
        soft_cap=soft_cap,
        valid_vocab_size=valid_vocab_size,
        compute_dtype=compute_dtype,
        precision=precision,
        vocab_axis=vocab_axis,
    )
    _, ids = on_table(head, partial(largest_logits, head, None), arrays)
    return ids[..., 0]


@public
def unembedding_top_k(
    weight: Float[Array | np.ndarray, "rows d_model"],
    hidden: Float[Array | np.ndarray, "*batch d_model"],
    k: SupportsIndex,
    *,
    chunk_size: SupportsIndex,
    bias: Float[Array | np.ndarray, " rows"] | None = None,
    logit_scale: SupportsFloat | None = None,
    soft_cap: SupportsFloat | None = None,
    valid_vocab_size: SupportsIndex | None = None,
    compute_dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    vocab_axis: str | tuple[str, ...] | None = None,
) -> tuple[Float[Array, "*batch {k}"], Int[Array, "*batch {k}"]]:
    """Returns the `k` largest logits and their ids, by chunks of the vocabulary.

    They come in the order of `jax.lax.top_k`: largest first, and of equal logits the
    one with the smallest id first. The `k` candidates of each chunk are kept until the
    end.

    Args:
        weight: A table with one row per token.
        hidden: Hidden states.
        k: How many logits of each of the hidden states. At most the number of tokens.
        chunk_size: The most rows of the table that are multiplied at a time.
        bias: One number for each row of the table.
        logit_scale: Factor of the logits. Positive and finite.
        soft_cap: Bound of the logits. Positive and finite.
        valid_vocab_size: Number of tokens of a table with more rows. `None` is the
            number of rows.
        compute_dtype: Dtype in which `hidden` and the table are multiplied, as in
            `apply_token_unembedding`.
        precision: Precision of the matrix products, as in `jax.lax.dot_general`.
        vocab_axis: Mesh axis, or axes, over which the rows of the table are sharded.

    Returns:
        A tuple of the logits, in float32, or float64 for float64 operands, and their
        int32 ids.

    Raises:
        ValueError: If `k` is not between 1 and the number of tokens, or as
            `unembedding_argmax` does.

    Example:
        >>> hidden = jnp.array([1.0, 3.0, 2.0])
        >>> unembedding_top_k(jnp.eye(3), hidden, 2, chunk_size=2)
        (Array([3., 2.], dtype=float32), Array([1, 2], dtype=int32))

    Reference:
        Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024.
        https://arxiv.org/abs/2411.09009
    """
    head, arrays = head_of(
        weight,
        hidden,
        chunk_size=chunk_size,
        bias=bias,
        logit_scale=logit_scale,
        soft_cap=soft_cap,
        valid_vocab_size=valid_vocab_size,
        compute_dtype=compute_dtype,
        precision=precision,
        vocab_axis=vocab_axis,
    )
    k = integer("k", k, 1, head.vocab_size)
    return on_table(head, partial(largest_logits, head, k), arrays)
