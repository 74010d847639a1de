"""Rows of a table that a loss does not train."""

from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from ..._checks import bool_array, float_array, integer
from ..._public import public
from ..._sharding import explicit_axes, sharding_like


@public
def freeze_rows(
    weight: Float[Array | np.ndarray, "num_rows ..."],
    frozen: SupportsIndex | Bool[Array | np.ndarray, " num_rows"],
) -> Float[Array, "num_rows ..."]:
    """Returns `weight` as it is, with a gradient of zero in the frozen rows.

    Every use of the result counts, the tied head too. An optimizer that decays weights
    moves rows without a gradient as well: give zero to their updates.

    Args:
        weight: A table `(num_rows, d_model)` or a bias `(num_rows,)`.
        frozen: Number of first rows that stay, such as that of the old tokens, or a
            mask that is True where a row stays.

    Returns:
        The array itself; nothing is copied.

    Raises:
        ValueError: If `weight` has no rows or is not of real floats, or `frozen` is
            neither an integer from 0 to the number of rows nor a mask of the rows.

    Example:
        >>> loss = lambda weight: freeze_rows(weight, 2).sum()
        >>> jax.grad(loss)(jnp.ones((3, 1)))[:, 0]
        Array([0., 0., 1.], dtype=float32)

    Reference:
        Hewitt, Initializing New Word Embeddings for Pretrained Language Models, 2021.
        https://nlp.stanford.edu/~johnhew/vocab-expansion.html
    """
    weight = jnp.asarray(float_array("weight", weight, "num_rows"))
    num_rows = weight.shape[0]
    if isinstance(frozen, jax.Array | np.ndarray) and frozen.ndim:
        frozen = bool_array("frozen", frozen)
        if frozen.shape != (num_rows,):
            raise ValueError(
                f"frozen.shape={frozen.shape} must be {(num_rows,)}, one for each row."
            )
    else:
        frozen = integer("frozen", frozen, 0)
        if frozen > num_rows:
            raise ValueError(
                f"{frozen=} must be at most {num_rows}, the rows of "
                f"weight.shape={weight.shape}."
            )
    return _frozen(weight, frozen)


@jax.custom_jvp
def _frozen(weight, frozen):
    return weight


@_frozen.defjvp
def _frozen_jvp(primals, tangents):
    weight, frozen = primals
    tangent = jnp.asarray(tangents[0])
    axes = explicit_axes(weight)
    first = axes and sharding_like(weight, axes[:1])
    row = lax.broadcasted_iota(jnp.int32, weight.shape[:1], 0, out_sharding=first)
    if jnp.ndim(frozen):
        mask = frozen if first is None else jax.reshard(frozen, first)
    else:
        mask = row < frozen
    mask = mask.reshape(-1, *(1,) * (weight.ndim - 1))
    return weight, jnp.where(mask, jnp.zeros_like(tangent), tangent)
