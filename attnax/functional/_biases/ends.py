"""Position biases as a matrix, as a function of the scores, and as extra channels."""

from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ..._checks import check_key, number
from ..._dtypes import compute_dtype, default_float_dtype, result_dtype
from ..._public import public
from ..._sharding import explicit_axes
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
    pairs = _pairs(bias, q_positions, k_positions)
    return under_automatic_axes(
        lambda params, pairs: bias._matrix(params, pairs, dtype), params, pairs
    )


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


def under_automatic_axes(matrix, params, pairs):
    """`matrix(params, pairs)`, where JAX chooses the shardings of what is in between.

    Under a mesh with explicit axes, heads are sharded as the columns of a table, and
    queries and keys as their positions.
    """
    leaves = [*jax.tree.leaves(params), pairs.q, pairs.k]
    meshes = [m for x in leaves if (m := jax.typeof(x).sharding.mesh).explicit_axes]
    if not meshes:
        return matrix(params, pairs)
    axes = [*(explicit_axes(pairs.q) or (None,) * pairs.q.ndim)]
    k_axes = [*(explicit_axes(pairs.k) or (None,) * pairs.k.ndim)]
    heads = [
        explicit_axes(x)[-1] for x in jax.tree.leaves(params) if explicit_axes(x)
    ]
    batch = [a or b for a, b in zip(axes[:-1], k_axes[:-1], strict=True)]
    spec = (*batch, next(iter(heads), None), axes[-1], k_axes[-1])
    sharding = NamedSharding(meshes[0], PartitionSpec(*spec))

    # Not the offset, which is static.
    arrays = {name: getattr(pairs, name) for name in ("q", "k", "q_valid", "k_valid")}

    def of_arrays(params, arrays):
        return matrix(params, pairs._replace(**arrays))

    return jax.sharding.auto_axes(of_arrays, out_sharding=sharding)(params, arrays)


def _wide(params):
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(params)]
    return compute_dtype(*dtypes) if dtypes else jnp.dtype(jnp.float32)
