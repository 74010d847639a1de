"""The gradient of a table as the rows of it that are not zero."""

from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax.export import is_symbolic_dim
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer

from ..._checks import (
    any_array,
    check_params,
    float_array,
    integer,
    integer_array,
    positive_integer,
    row_indices,
)
from ..._dtypes import result_dtype
from ..._public import public
from .._tables.row_sums import sum_by_row
from .._tables.selected import WAY_OUT
from .storage import write_rows


class RowGradient(NamedTuple):
    """The gradient of a table that is zero in all but a few rows.

    It is a node of the tree of gradients. Arithmetic belongs to `rows` alone: a
    function mapped over all leaves of the tree would change the ids too.

    Attributes:
        row_ids: Ids of the rows, distinct and ascending. Unused slots come last and
            hold `vocab_size`.
        rows: The rows of the gradient. Those of unused slots are zeros.
    """

    row_ids: Integer[Array, "*batch num_rows"]
    rows: Float[Array, "*batch num_rows d_model"]


@public
def row_gradient(
    token_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
    cotangents: Float[Array | np.ndarray, "*ids d_model"],
    vocab_size: SupportsIndex,
    *,
    padding_id: SupportsIndex | None = None,
) -> RowGradient:
    """Returns the gradient of a table as the sum of cotangents of each distinct id.

    It is for loops that make the cotangents of the looked-up rows themselves;
    `row_value_and_grad` makes gradients of a loss.

    Args:
        token_ids: Ids in `[0, vocab_size)`, of any shape and any integer dtype.
        cotangents: The cotangent of the row of each id.
        vocab_size: Number of rows of the table. Positive.
        padding_id: Token whose row gets no gradient, in `[0, vocab_size)`.

    Returns:
        As many slots as there are ids, or rows of the table if those are fewer. Sums
        are in float32, or in float64 for float64 cotangents. A traced id out of range
        is dropped.

    Raises:
        ValueError: If the ids are not integers, an id that is known outside every
            transformation is out of range, there is not one cotangent per id, or a
            setting is out of range.

    Example:
        >>> ids, cotangents = jnp.array([7, 2, 7]), jnp.array([[1.0], [2.0], [3.0]])
        >>> gradient = row_gradient(ids, cotangents, 10)
        >>> print(gradient.row_ids, gradient.rows[:, 0])
        [ 2  7 10] [2. 4. 0.]

    Reference:
        PyTorch, `torch.nn.Embedding(sparse=True)` and `torch.sparse_coo_tensor`.
        https://docs.pytorch.org/docs/stable/generated/torch.nn.Embedding.html
    """
    vocab_size = positive_integer("vocab_size", vocab_size)
    ids = row_indices("token_ids", token_ids, vocab_size)
    check_size_is_known("token_ids", ids)
    cotangents = jnp.asarray(float_array("cotangents", cotangents, "d_model"))
    if cotangents.shape[:-1] != ids.shape:
        raise ValueError(
            f"cotangents.shape={cotangents.shape} must be (*ids, d_model) with "
            f"token_ids.shape={ids.shape}."
        )
    if padding_id is not None:
        padding_id = integer("padding_id", padding_id, 0, vocab_size - 1)
        ids = jnp.where(ids == padding_id, -1, ids)
    return RowGradient(*sum_by_row(ids, cotangents, vocab_size))


@public
def dense_gradient(
    gradient: RowGradient,
    vocab_size: SupportsIndex,
    *,
    dtype: DTypeLike | None = None,
) -> Float[Array, "vocab_size d_model"]:
    """Returns the gradient of the whole table, with zeros in the other rows.

    Args:
        gradient: The rows, with distinct ids. Ids outside `[0, vocab_size)` are
            dropped.
        vocab_size: Number of rows of the table. Positive.
        dtype: Dtype of the result. `None` is that of the rows.

    Returns:
        An array of the shape of the table.

    Raises:
        ValueError: If `gradient` is no `RowGradient` of one table, `vocab_size` is not
            positive, or `dtype` is not a real float.

    Example:
        >>> gradient = RowGradient(jnp.array([1]), jnp.array([[2.0, 3.0]]))
        >>> dense_gradient(gradient, 2)
        Array([[0., 0.],
               [2., 3.]], dtype=float32)

    Reference:
        PyTorch, `torch.Tensor.to_dense` of a sparse tensor.
        https://docs.pytorch.org/docs/stable/generated/torch.Tensor.to_dense.html
    """
    row_ids, rows = check_row_gradient("gradient", gradient)
    vocab_size = positive_integer("vocab_size", vocab_size)
    dtype = result_dtype("dtype", dtype, rows.dtype)
    zeros = jnp.zeros((vocab_size, *rows.shape[1:]), dtype)
    return write_rows(zeros, row_ids, rows.astype(dtype))


def check_size_is_known(argument, array) -> None:
    """Raises if a size is a symbol, since the number of slots depends on it."""
    if any(map(is_symbolic_dim, array.shape)):
        raise ValueError(
            f"{argument}.shape={array.shape} must be numbers: the number of slots "
            "depends on them."
        )


def check_row_gradient(argument, gradient, *, batched=False) -> RowGradient:
    """A gradient of one table, or of several along leading axes, with JAX arrays."""
    check_params(gradient, RowGradient, argument)
    row_ids = integer_array(
        f"{argument}.row_ids",
        any_array(f"{argument}.row_ids", gradient.row_ids),
        WAY_OUT,
    )
    rows = float_array(f"{argument}.rows", gradient.rows, "num_rows", "d_model")
    if rows.shape[:-1] != row_ids.shape or (rows.ndim != 2 and not batched):
        batch = "*batch, " * batched
        raise ValueError(
            f"{argument}.rows.shape={rows.shape} must be ({batch}num_rows, d_model), "
            f"and {argument}.row_ids.shape={row_ids.shape} ({batch}num_rows,)."
        )
    return RowGradient(jnp.asarray(row_ids), jnp.asarray(rows))
