"""Position biases as a matrix, as a function of the scores, and as extra channels."""

from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import check_key, number
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from .distances import pairs_of
from .record import PositionBias


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
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    return bias._init(key, number("init_std", init_std, 0), dtype)


@public
def apply_position_bias(
    bias: PositionBias,
    params: Any,
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
    *,
    dtype: DTypeLike | None = None,
) -> Float[Array, "*batch num_heads q_len k_len"]:
    """Returns the bias of every pair of a query and a key."""
    bias._check(params)
    dtype = result_dtype("dtype", dtype, _wide(params))
    return bias._matrix(params, _pairs(bias, q_positions, k_positions), dtype)


@public
def position_bias_score_mod(
    bias: PositionBias,
    params: Any,
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
) -> Callable[..., Any]:
    """Returns the function `(score, batch, head, q_index, k_index)` that adds the bias."""
    bias._check(params)
    at = bias._score(params, _pairs(bias, q_positions, k_positions))

    def score_mod(score, batch, head, q_index, k_index):
        return score + at(batch, head, q_index, k_index).astype(score.dtype)

    return score_mod


def _pairs(bias, q_positions, k_positions):
    return pairs_of(q_positions, k_positions, bias._bounds)


def _wide(params):
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(params)]
    return compute_dtype(*dtypes) if dtypes else jnp.dtype(jnp.float32)
