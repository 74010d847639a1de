"""Cross-entropy by a table of tokens, without the logits of all tokens."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jax import lax
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer

from ..._checks import check_flags, nan_where_invalid, number
from ..._public import public
from .head import head_of
from .targets import sums_of_targets, target_rows, zero_where_ignored


@public
def unembedding_cross_entropy(
    weight: Float[Array | np.ndarray, "rows d_model"],
    hidden: Float[Array | np.ndarray, "*batch d_model"],
    targets: Integer[Array | np.ndarray, "*batch"] | Sequence | SupportsIndex,
    *,
    chunk_size: SupportsIndex,
    bias: Float[Array | np.ndarray, " rows"] | None = None,
    logit_scale: SupportsFloat | None = None,
    soft_cap: SupportsFloat | None = None,
    label_smoothing: SupportsFloat = 0.0,
    z_loss: SupportsFloat = 0.0,
    ignored_id: SupportsIndex | None = None,
    valid_vocab_size: SupportsIndex | None = None,
    compute_dtype: DTypeLike | None = None,
    precision: lax.PrecisionLike = None,
    vocab_axis: str | tuple[str, ...] | None = None,
    return_log_sum_exp: bool | np.bool_ = False,
) -> Float[Array, "*batch"] | tuple[Float[Array, "*batch"], Float[Array, "*batch"]]:
    """Cross-entropy of each token, by chunks of the vocabulary.

    With `logits = soft_cap * tanh(logit_scale * (hidden @ weight.T + bias) / soft_cap)`
    and `log_sum_exp = log(sum(exp(logits)))`, the loss of a token is

        log_sum_exp - (1 - label_smoothing) * logits[target]
            - label_smoothing * mean(logits) + z_loss * log_sum_exp**2

    Neither the loss nor its gradients ever hold the logits `(*batch, vocab_size)`. The
    gradients compute the logits of each chunk once more, so that training takes four
    matrix products in place of three. Everything is added up in float32.

    Args:
        weight: A table with one row per token, tied to the lookup or not.
        hidden: Hidden states.
        targets: The right token of each of the hidden states, in `[0, vocab_size)`.
        chunk_size: The most rows of the table that are multiplied at a time. It need
            not divide the vocabulary. A chunk takes `tokens * chunk_size * 4` bytes,
            twice where there are gradients.
        bias: One number for each row of the table.
        logit_scale: Factor of the logits. Positive and finite. Cohere's `logit_scale`,
            and 1 over the `logits_scaling` of Granite.
        soft_cap: Bound of the logits. Positive and finite. Gemma 2 uses 30.
        label_smoothing: Share of the target's probability that is spread evenly over
            the vocabulary, the target included. In `[0, 1]`.
        z_loss: Weight of the square of the log-sum-exp. Not negative; PaLM uses 1e-4.
        ignored_id: Target of tokens without a loss, such as -100. Their loss and
            gradients are 0, whatever their hidden states hold, even NaN.
        valid_vocab_size: Number of tokens of a table with more rows, such as one of
            `pad_vocabulary`. The other rows have no part in the loss and get no
            gradient. `None` is the number of rows.
        compute_dtype: Dtype in which `hidden` and the table are multiplied, as in
            `apply_token_unembedding`.
        precision: Precision of the matrix products, as in `jax.lax.dot_general`.
        vocab_axis: Mesh axis, or axes, over which the rows of the table are sharded.
            Each device then reads its own rows only, and the devices exchange three
            numbers for each token. `None` is the sharding that the type of the table
            has under an explicit mesh.
        return_log_sum_exp: Whether to return the log-sum-exp too.

    Returns:
        The loss of each token, in float32, or float64 for float64 operands. With
        `return_log_sum_exp`, a tuple of the loss and the log-sum-exp of each token,
        which is 0 where a token is ignored. A traced target outside the vocabulary has
        a loss of NaN, and no gradient comes from it.

    Raises:
        ValueError: If a size is not a positive integer, shapes do not fit, a target
            that is known outside every transformation is out of range, an option breaks
            its rule, or the mesh has no such `vocab_axis` or does not divide the rows.

    Example:
        >>> hidden = jnp.array([[1.0, 2.0, 3.0]])
        >>> unembedding_cross_entropy(jnp.eye(3), hidden, jnp.array([2]), chunk_size=2)
        Array([0.40760595], dtype=float32)

    Reference:
        Wijmans et al., Cut Your Losses in Large-Vocabulary Language Models, 2024.
        https://arxiv.org/abs/2411.09009; Milakov and Gimelshein, Online Normalizer
        Calculation for Softmax, 2018. https://arxiv.org/abs/1805.02867; label
        smoothing: Szegedy et al., Rethinking the Inception Architecture, 2015, section
        7. https://arxiv.org/abs/1512.00567; z-loss: Chowdhery et al., PaLM, 2022,
        section 5. https://arxiv.org/abs/2204.02311
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
    smoothing = number("label_smoothing", label_smoothing, 0, 1)
    z_loss = number("z_loss", z_loss, 0)
    check_flags(return_log_sum_exp=return_log_sum_exp)
    rows, ignored = target_rows(targets, arrays.hidden, head.vocab_size, ignored_id)
    sums = sums_of_targets(head, arrays, rows, ignored, with_mean=smoothing > 0)
    log_sum_exp = sums.largest + sums.log_sum
    # Differences of logits come first: they are small where logits are large.
    loss = sums.log_sum + (1 - smoothing) * (sums.largest - sums.target)
    if smoothing > 0:
        loss = loss + smoothing * (sums.largest - sums.mean)
    if z_loss > 0:
        loss = loss + z_loss * log_sum_exp**2
    loss = zero_where_ignored(ignored, nan_where_invalid(rows >= 0, loss))
    if return_log_sum_exp:
        return loss, zero_where_ignored(ignored, log_sum_exp)
    return loss
