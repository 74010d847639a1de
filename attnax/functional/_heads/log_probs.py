"""Log-probabilities by a table of tokens, without the logits of all tokens."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer

from ..._checks import nan_where_invalid
from ..._public import public
from .head import head_of
from .targets import sums_of_targets, target_rows, zero_where_ignored


@public
def unembedding_log_probs(
    weight: Float[Array | np.ndarray, "rows d_model"],
    hidden: Float[Array | np.ndarray, "*batch d_model"],
    targets: Integer[Array | np.ndarray, "*batch"] | Sequence | SupportsIndex,
    *,
    chunk_size: SupportsIndex,
    bias: Float[Array | np.ndarray, " rows"] | None = None,
    logit_scale: SupportsFloat | None = None,
    soft_cap: SupportsFloat | None = None,
    ignored_id: SupportsIndex | None = None,
    valid_vocab_size: SupportsIndex | None = None,
    compute_dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    vocab_axis: str | tuple[str, ...] | None = None,
) -> Float[Array, "*batch"]:
    """Log-probability of each target, by chunks of the vocabulary.

    It is `logits[target] - log(sum(exp(logits)))`, with the logits, the memory and the
    gradients of `unembedding_cross_entropy`.

    Args:
        weight: A table with one row per token.
        hidden: Hidden states.
        targets: A token for each of the hidden states, in `[0, vocab_size)`.
        chunk_size: The most rows of the table that are multiplied at a time.
        bias: One number for each row of the table.
        logit_scale: Factor of the logits. Positive and finite; 1 over a temperature.
        soft_cap: Bound of the logits. Positive and finite.
        ignored_id: Target of tokens whose result and gradients are 0.
        valid_vocab_size: Number of tokens of a table with more rows. `None` is the
            number of rows.
        compute_dtype: Dtype in which `hidden` and the table are multiplied, as in
            `apply_token_unembedding`.
        precision: Precision of the matrix products, as in `jax.lax.dot_general`.
        vocab_axis: Mesh axis, or axes, over which the rows of the table are sharded.

    Returns:
        The natural logarithm of a probability for each token, in float32, or float64
        for float64 operands. A traced target outside the vocabulary gives NaN, and no
        gradient comes from it.

    Raises:
        ValueError: As `unembedding_cross_entropy` does.

    Example:
        >>> hidden = jnp.array([[1.0, 2.0, 3.0]])
        >>> unembedding_log_probs(jnp.eye(3), hidden, jnp.array([2]), chunk_size=2)
        Array([-0.40760595], dtype=float32)

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
    rows, ignored = target_rows(targets, arrays.hidden, head.vocab_size, ignored_id)
    sums = sums_of_targets(head, arrays, rows, ignored, with_mean=False)
    log_probs = (sums.target - sums.largest) - sums.log_sum
    return zero_where_ignored(ignored, nan_where_invalid(rows >= 0, log_probs))
