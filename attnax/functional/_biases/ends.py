"""Position biases as a matrix and as a function of the scores."""

from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, Num, PRNGKeyArray

from ..._checks import check_key, number
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from .core.automatic_axes import matrix_of, whole_arrays
from .core.by_distance import nan_at_invalid_indices
from .core.content import arrays_of, float_dtypes, own_axes
from .core.read import checked_inputs
from .core.record import PositionBias, check_bias


@public
def init_position_bias(
    key: PRNGKeyArray,
    bias: PositionBias,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> Any:
    """Returns initial parameters for a position bias.

    Args:
        key: A random key of JAX.
        bias: The record of the scheme, such as `T5Bias(8, bidirectional=True)`.
        init_std: Standard deviation of what is drawn from a normal distribution:
            tables, projections and vectors. `KerpleBias` and `FireBias` have
            distributions of their own and ignore it. Not negative.
        dtype: Dtype of the parameters, default JAX's float; they are drawn in float32
            or wider and rounded once.

    Returns:
        The parameters that the docstring of the record describes: `TableBiasParams`
        for a table, or `None` for a scheme without parameters.

    Raises:
        TypeError: If `bias` is not a record of a position bias.
        ValueError: If another argument is out of its range.

    Example:
        >>> bias = T5Bias(8, bidirectional=True)
        >>> init_position_bias(jax.random.key(0), bias).table.shape
        (32, 8)

    Reference:
        The docstring of each record names the source of its scheme.
    """
    check_key(key)
    check_bias(bias)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    return bias._init(key, number("init_std", init_std, 0), dtype)


@public
def apply_position_bias(
    bias: PositionBias,
    params: Any,
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
    *,
    q: Num[Array | np.ndarray, "..."] | tuple | None = None,
    k: Num[Array | np.ndarray, "..."] | tuple | None = None,
    precision: PrecisionLike = None,
    dtype: DTypeLike | None = None,
) -> Float[Array, "*all_batch num_heads q_len k_len"]:
    """Returns the bias of each head for every pair of a query and a key.

    The bias is what attention adds to its scores after their scaling, for the distance
    `position of the key - position of the query` or what else the record measures. It
    never masks: pairs that a model leaves out, such as keys after the query, have
    biases too, and a mask removes them.

    Positions are any int32, in any order: those of a cache, of left padding or of
    packed documents. For ranges, and NumPy arrays that count up by one, the bias of
    each distance is made once.

    Args:
        bias: The record of the scheme.
        params: Parameters of the record, by `init_position_bias` or from a checkpoint.
            `None` for a scheme without parameters.
        q_positions: Integer positions of the queries, `(*batch, q_len)`; a range or a
            list too. Batch axes of all arrays broadcast.
        k_positions: Positions of the keys, `(*batch, k_len)`.
        q: What the record reads of the queries beside their positions, such as
            vectors `(*batch, q_len, num_heads, head_dim)`; its docstring says what.
            `None` where it reads nothing.
        k: What the record reads of the keys beside their positions; `None` where it
            reads nothing.
        precision: Precision of matrix products, for records that have any.
        dtype: Dtype of the result, default float32, or float64 if a parameter, `q` or
            `k` is float64. Arithmetic is in float32 or wider and rounded once.

    Returns:
        Biases `(*batch, num_heads, q_len, k_len)`. `*batch` is empty where no array
        has batch axes, and `jax.nn.dot_product_attention` takes the result as it is.
        A traced position out of range gives NaN at its pairs.

    Raises:
        TypeError: If `bias` is not a record of a position bias.
        ValueError: If `params`, `q` or `k` are not those of the record; if positions
            are no integers; if a known position is out of range; or if shapes do not
            fit together.

    Example:
        >>> apply_position_bias(AlibiBias(1, form="signed"), None, [2], range(3))
        Array([[[-0.0078125 , -0.00390625,  0.        ]]], dtype=float32)

    Reference:
        Shaw et al., Self-Attention with Relative Position Representations, 2018; the
        docstring of each record names the source of its scheme.
        https://arxiv.org/abs/1803.02155
    """
    pairs, content = checked_inputs(
        bias, params, q_positions, k_positions, q, k, precision
    )
    dtype = result_dtype("dtype", dtype, _wide((params, content.q, content.k)))
    return matrix_of(bias, params, pairs, content, dtype)


@public
def position_bias_score_mod(
    bias: PositionBias,
    params: Any,
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
    *,
    q: Num[Array | np.ndarray, "..."] | tuple | None = None,
    k: Num[Array | np.ndarray, "..."] | tuple | None = None,
    precision: PrecisionLike = None,
) -> Callable[..., Any]:
    """Returns a function of scores that adds the bias, for kernels that take one.

    Such kernels never store the scores of all pairs, and call a function
    `score_mod(score, batch, head, q_index, k_index)` on the part that they have at
    hand. The indices count batches, heads, queries and keys; the function looks up the
    positions of the two tokens and returns `score` plus the bias that
    `apply_position_bias` has for them. That is a few operations for most schemes, and
    as many products as there are sinusoids for Transformer-XL's. No array of all pairs
    is made. Biases that are products with queries or keys hold a number of each query
    and head for every row of their table, or for every sinusoid.

    Args:
        bias: The record of the scheme.
        params: Parameters of the record, or `None`.
        q_positions: Integer positions of the queries, `(q_len,)` or `(batch, q_len)`.
        k_positions: Integer positions of the keys, `(k_len,)` or `(batch, k_len)`.
        q: What the record reads of the queries beside their positions; `None` where it
            reads nothing.
        k: What the record reads of the keys beside their positions; `None` where it
            reads nothing.
        precision: Precision of matrix products, for records that have any.

    Returns:
        The function. Its arguments broadcast; scores are floats that the attention has
        scaled already, and the result has their dtype, in which the sum is rounded
        once. Under a mesh with explicit axes, it holds whole arrays.

    Raises:
        TypeError: If `bias` is not a record of a position bias.
        ValueError: If an argument is not as `apply_position_bias` needs it, or if there
            is more than one batch axis.

    Example:
        >>> bias = AlibiBias(1, form="signed")
        >>> score_mod = position_bias_score_mod(bias, None, [2], range(3))
        >>> score_mod(jnp.float32(1.0), 0, 0, 0, 1)
        Array(0.99609375, dtype=float32)

    Reference:
        Dong et al., Flex Attention, 2024, section 3.
        https://arxiv.org/abs/2412.05496
    """
    pairs, content = checked_inputs(
        bias, params, q_positions, k_positions, q, k, precision
    )
    _check_one_batch_axis(bias, pairs, content)
    params, pairs, content = whole_arrays(params, pairs, content)
    at = nan_at_invalid_indices(bias._score(params, pairs, content), pairs)

    def score_mod(score, batch, head, q_index, k_index):
        value = at(*map(_int32_index, (batch, head, q_index, k_index)))
        wide = compute_dtype(score.dtype, value.dtype)
        return (score.astype(wide) + value.astype(wide)).astype(score.dtype)

    return score_mod


def _int32_index(index):
    """An index as int32, the dtype of positions; Python numbers as they are."""
    return index.astype(np.int32) if hasattr(index, "dtype") else index


def _check_one_batch_axis(bias, pairs, content):
    batches = {"q_positions and k_positions": pairs.batch}
    for argument, kind, x in arrays_of(bias, content):
        batches[argument] = x.shape[: x.ndim - own_axes(kind)]
    for arguments, batch in batches.items():
        if len(batch) > 1:
            raise ValueError(
                f"{arguments} with batch axes {batch} must have one at most, which the "
                "index of the batch counts; use jax.vmap for others."
            )


def _wide(arrays):
    dtypes = float_dtypes(arrays)
    return compute_dtype(*dtypes) if dtypes else jnp.dtype(jnp.float32)
