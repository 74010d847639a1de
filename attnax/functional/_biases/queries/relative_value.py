"""Relative values of Shaw et al.: what distances add to the result of attention."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import PrecisionLike
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from ...._checks import (
    broadcast_batches,
    check_key,
    check_params,
    check_precision,
    float_array,
    nan_unless,
    number,
)
from ...._dtypes import compute_dtype, default_float_dtype, result_dtype
from ...._public import public
from ...._sharding import explicit_axes
from ..core.automatic_axes import with_automatic_axes
from ..core.distances import of_rank, pairs_of
from ..core.parameters import draw_normal
from ..core.products import products_by_distance
from .relative_key import RelativeKeyBias, check_rows_of


class RelativeValueParams(NamedTuple):
    """Parameters of relative values.

    Attributes:
        values: The value of each distance, which all heads share.
    """

    values: Float[Array, "num_rows width"]


@public
def init_relative_values(
    key: PRNGKeyArray,
    bias: RelativeKeyBias,
    *,
    init_std: SupportsFloat = 0.02,
    dtype: DTypeLike | None = None,
) -> RelativeValueParams:
    """Draws a value for each distance that has a key.

    Args:
        key: A PRNG key.
        bias: The record of the relative keys, whose `num_rows` and `head_dim` are the
            shape of the values.
        init_std: Standard deviation of the values. Not negative.
        dtype: Dtype of the values. By default JAX's float dtype.

    Returns:
        The values, `(num_rows, head_dim)`, from a normal distribution.

    Raises:
        TypeError: If `bias` is no `RelativeKeyBias`.
        ValueError: If `init_std` is negative, or `dtype` is no real float dtype.

    Example:
        >>> bias = RelativeKeyBias(2, 96, left=4, right=4, zero_outside=True)
        >>> init_relative_values(jax.random.key(0), bias).values.shape
        (9, 96)

    Reference:
        Shaw et al., Self-Attention with Relative Position Representations, 2018,
        section 3.2. https://arxiv.org/abs/1803.02155
    """
    check_key(key)
    _check_bias(bias)
    dtype = result_dtype("dtype", dtype, default_float_dtype())
    shape, init_std = (bias.num_rows, bias.head_dim), number("init_std", init_std, 0)
    return RelativeValueParams(values=draw_normal(key, shape, init_std, dtype))


@public
def apply_relative_values(
    bias: RelativeKeyBias,
    params: RelativeValueParams,
    probabilities: Float[Array | np.ndarray, "*#batch num_heads q_len k_len"],
    q_positions: Integer[Array | np.ndarray, "*#batch q_len"] | Sequence,
    k_positions: Integer[Array | np.ndarray, "*#batch k_len"] | Sequence,
    *,
    precision: PrecisionLike = None,
) -> Float[Array, "*batch q_len num_heads width"]:
    """Returns what values by distance add to the result of attention.

    With the probabilities `p[i, j]` of attention, it is `sum_j p[i, j] V[row(d)]`, with
    the same row of the distance `d` as the relative keys have. With `zero_outside`, a
    key outside the table adds nothing.

    Args:
        bias: The record of the relative keys, which says the row of each distance.
        params: The values, one row for each of `bias.num_rows`.
        probabilities: What the softmax gives. An entry is 0 where a key is masked.
        q_positions: Positions of the queries. Any int32.
        k_positions: Positions of the keys. Any int32.
        precision: Precision of the products, as in `jax.numpy.matmul`.

    Returns:
        The sum for each query and head in the dtype of `probabilities`, to be added to
        the result of attention before its output projection. It is NaN where a
        position in an array that is traced is outside int32.

    Raises:
        TypeError: If `bias` is no `RelativeKeyBias`.
        ValueError: If `params` or `probabilities` do not fit the record or the
            positions, or a known position is outside int32.

    Example:
        >>> bias = RelativeKeyBias(2, 4, left=1, right=1, zero_outside=True)
        >>> params = RelativeValueParams(np.ones((3, 4), np.float32))
        >>> p = np.full((2, 3, 3), 0.25, np.float32)
        >>> apply_relative_values(bias, params, p, range(3), range(3))[:, 0, 0].tolist()
        [0.5, 0.75, 0.5]

    Reference:
        Shaw et al., Self-Attention with Relative Position Representations, 2018,
        eq. 3. https://arxiv.org/abs/1803.02155
    """
    _check_bias(bias)
    check_params(params, RelativeValueParams)
    check_rows_of(bias, "params.values", params.values)
    check_precision(precision)
    pairs = pairs_of(q_positions, k_positions)
    p = _checked(probabilities, bias, pairs)
    arrays = {"p": p, "values": jnp.asarray(params.values)}
    arrays |= {n: getattr(pairs, n) for n in ("q", "k", "q_valid", "k_valid")}

    def sums(arrays):
        p, values = arrays.pop("p"), arrays.pop("values")
        return _sums(p, values, bias._row, pairs._replace(**arrays), precision)

    return with_automatic_axes(sums, arrays, _axes(p, pairs))


def _sums(p, values, row_of, pairs, precision):
    """The sums over the keys, `(*batch, q_len, num_heads, width)`."""
    wide = compute_dtype(p.dtype, values.dtype)
    batch = jnp.broadcast_shapes(p.shape[:-3], pairs.batch)
    x_shape = (*batch, *p.shape[-3:-1], values.shape[1])

    def products(x):
        rows = values.astype(wide)[None]
        return products_by_distance(
            x, rows, row_of, pairs, precision, transposable=True
        )

    # The products are linear in the queries; their transpose is the sum over keys.
    transposed = jax.linear_transpose(products, jax.ShapeDtypeStruct(x_shape, wide))
    (out,) = transposed(jnp.broadcast_to(p.astype(wide), (*batch, *p.shape[-3:])))
    valid = pairs.valid()
    if valid is not None:
        valid = of_rank(valid.all(-1)[..., None, :, None], out.ndim)
        out = jnp.where(valid, out, nan_unless(valid, wide))
    return jnp.moveaxis(out, -3, -2).astype(p.dtype)


def _axes(p, pairs):
    """The mesh axes of the sums: those of the probabilities, or of the positions."""
    of_p, of_q = (explicit_axes(t) or (None,) * t.ndim for t in (p, pairs.q))
    rank = max(p.ndim - 3, len(pairs.batch))
    *batch, heads, q_len, _ = (None,) * (rank + 3 - p.ndim) + tuple(of_p)
    return *batch, q_len or of_q[-1], heads, None


def _check_bias(bias):
    if not isinstance(bias, RelativeKeyBias):
        raise TypeError(f"bias must be a RelativeKeyBias, not a {type(bias).__name__}.")


def _checked(probabilities, bias, pairs):
    p = float_array("probabilities", probabilities, "num_heads", "q_len", "k_len")
    if p.shape[-3:] != (bias.num_heads, *pairs.lengths):
        raise ValueError(
            f"probabilities.shape={p.shape} must end in "
            f"{(bias.num_heads, *pairs.lengths)}: num_heads of the bias and the "
            "lengths of q_positions and k_positions."
        )
    broadcast_batches({"probabilities": p.shape[:-3], "positions": pairs.batch})
    return jnp.asarray(p)
