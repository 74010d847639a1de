"""Position biases as a matrix, as a function of the scores, and as extra channels."""

from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import check_key, number
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from .core.automatic_axes import matrix_of
from .core.content import content_of
from .core.distances import pairs_of
from .core.record import PositionBias, check_bias


@public
def init_position_bias(
    key: PRNGKeyArray,
    bias: PositionBias,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> Any:
    """Draws the parameters of a position bias."""
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
    q: Float[Array | np.ndarray, "*#batch q_len num_heads width"] | None = None,
    k: Float[Array | np.ndarray, "*#batch k_len num_heads width"] | None = None,
    precision: PrecisionLike = None,
    dtype: DTypeLike | None = None,
) -> Float[Array, "*batch num_heads q_len k_len"]:
    """Returns the bias of every pair of a query and a key."""
    check_bias(bias)
    bias._check(params)
    pairs = pairs_of(q_positions, k_positions, bias._bounds)
    content = content_of(bias, pairs, q, k, precision)
    dtype = result_dtype("dtype", dtype, _wide((params, content.q, content.k)))
    return matrix_of(bias, params, pairs, content, dtype)


@public
def position_bias_score_mod(
    bias: PositionBias,
    params: Any,
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
    *,
    q: Float[Array | np.ndarray, "*#batch q_len num_heads width"] | None = None,
    k: Float[Array | np.ndarray, "*#batch k_len num_heads width"] | None = None,
    precision: PrecisionLike = None,
) -> Callable[..., Any]:
    """Returns a function `(score, batch, head, q_index, k_index)` with the bias."""
    check_bias(bias)
    bias._check(params)
    pairs = pairs_of(q_positions, k_positions, bias._bounds)
    content = content_of(bias, pairs, q, k, precision)
    at = bias._score(params, pairs, content)

    def score_mod(score, batch, head, q_index, k_index):
        return score + at(batch, head, q_index, k_index).astype(score.dtype)

    return score_mod


def _wide(arrays):
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(arrays)]
    return compute_dtype(*dtypes) if dtypes else jnp.dtype(jnp.float32)
