"""Sums of row gradients: of micro-batches and lookups, and across replicas."""

from collections.abc import Hashable, Sequence
from typing import SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Integer

from ..._checks import (
    INT32_MAX,
    check_axis_name,
    integer,
    integer_array,
    positive_integer,
    type_of,
)
from ..._dtypes import compute_dtype
from ..._public import public
from ..._sharding import names_of
from .._tables.row_sums import sum_by_row
from .gradient import RowGradient, check_row_gradient, check_size_is_known


@public
def sum_row_gradients(
    gradients: RowGradient | Sequence[RowGradient], *, vocab_size: SupportsIndex
) -> RowGradient:
    """Returns the sum of gradients of one table, each with rows of its own.

    It adds up those of several micro-batches, or of several lookups.

    Args:
        gradients: One or several. Each may have leading axes, such as those of a `scan`
            or a `vmap`, which are summed over too.
        vocab_size: Number of rows of the table. Positive.

    Returns:
        As many slots as all gradients have together, or rows of the table if those are
        fewer. Sums are in float32, or in float64 if a gradient is, and in the order of
        the gradients.

    Raises:
        ValueError: If there is no gradient, or one is no `RowGradient`, their widths
            differ, or `vocab_size` is not positive.

    Example:
        >>> first = RowGradient(jnp.array([1, 2]), jnp.array([[1.0], [2.0]]))
        >>> second = RowGradient(jnp.array([2, 9]), jnp.array([[3.0], [0.0]]))
        >>> print(sum_row_gradients([first, second], vocab_size=9).rows[:, 0])
        [1. 5. 0. 0.]

    Reference:
        PyTorch, `torch.Tensor.coalesce` of a sum of sparse tensors.
        https://docs.pytorch.org/docs/stable/generated/torch.Tensor.coalesce.html
    """
    vocab_size = positive_integer("vocab_size", vocab_size)
    if isinstance(gradients, RowGradient):
        gradients = [gradients]
    if not isinstance(gradients, Sequence) or not gradients:
        raise ValueError(
            f"gradients is {type_of(gradients)}, but must be a RowGradient, or a list "
            "of at least one."
        )
    checked = [
        check_row_gradient(f"gradients[{i}]", gradient, batched=True)
        for i, gradient in enumerate(gradients)
    ]
    for i, gradient in enumerate(checked):
        check_size_is_known(f"gradients[{i}].row_ids", gradient.row_ids)
    widths = [gradient.rows.shape[-1] for gradient in checked]
    if len(set(widths)) > 1:
        raise ValueError(f"gradients have rows of the {widths=}, which must be equal.")
    wide = compute_dtype(*(gradient.rows.dtype for gradient in checked))
    ids = [gradient.row_ids.reshape(-1).astype(jnp.int32) for gradient in checked]
    rows = [gradient.rows.reshape(-1, widths[0]).astype(wide) for gradient in checked]
    ids, rows = jnp.concatenate(ids), jnp.concatenate(rows)
    return RowGradient(*sum_by_row(ids, rows, vocab_size))


@public
def psum_row_gradient(
    gradient: RowGradient, axis_name: Hashable, *, vocab_size: SupportsIndex
) -> RowGradient:
    """Returns the sum of a gradient over the replicas of a mapped axis.

    Ids and rows are gathered from all replicas and added up by id, in the order of the
    replicas, so that all of them get the same bits. No array of the size of the table
    travels. As with `jax.lax.psum`, divide the rows for a mean.

    Args:
        gradient: The gradient of this replica.
        axis_name: Name of the mapped axis, or a tuple of several, as in
            `jax.lax.psum`.
        vocab_size: Number of rows of the table. Positive.

    Returns:
        As many slots as all replicas have together, or rows of the table if those are
        fewer, with sums in float32, or in float64 for float64 rows. Inside
        `jax.shard_map`, all replicas are known to have the same.

    Raises:
        ValueError: If `gradient` is no `RowGradient` of one table, `axis_name` is not
            that of a mapped axis, or `vocab_size` is not positive.

    Example:
        >>> of_two = RowGradient(jnp.array([[1], [1]]), jnp.ones((2, 1, 4)))
        >>> psum = lambda gradient: psum_row_gradient(gradient, "data", vocab_size=9)
        >>> jax.vmap(psum, axis_name="data")(of_two).rows[:, 0, 0]
        Array([2., 2.], dtype=float32)

    Reference:
        Horovod, `sparse_as_dense=False`: Sergeev and Del Balso, 2018.
        https://arxiv.org/abs/1802.05799
    """
    vocab_size = positive_integer("vocab_size", vocab_size)
    row_ids, rows = check_row_gradient("gradient", gradient)
    check_size_is_known("gradient.row_ids", row_ids)
    check_axis_name(axis_name)
    row_ids = _gathered(row_ids.astype(jnp.int32), axis_name)
    rows = _gathered(rows, axis_name)
    return RowGradient(*sum_by_row(row_ids, rows, vocab_size))


@public
def local_row_gradient(
    gradient: RowGradient,
    first_row: Integer[Array | np.ndarray, ""] | SupportsIndex,
    num_rows: SupportsIndex,
) -> RowGradient:
    """Returns the part of a gradient that falls into one shard of a table.

    Args:
        gradient: The gradient of the whole table, with ascending ids.
        first_row: The id of the first row of the shard; it may be traced.
        num_rows: Number of rows of the shard. Positive and below 2**31.

    Returns:
        A gradient of the shard, whose ids count from `first_row`. It has as many slots
        as `gradient`, or rows of the shard if those are fewer.

    Raises:
        ValueError: If `gradient` is no `RowGradient` of one table, `first_row` is not
            one integer, or `num_rows` is out of range.

    Example:
        >>> gradient = RowGradient(jnp.array([1, 4, 9]), jnp.ones((3, 2)))
        >>> local_row_gradient(gradient, 4, 4).row_ids
        Array([0, 4, 4], dtype=int32)

    Reference:
        Narayanan et al., Efficient Large-Scale Language Model Training, 2021, for
        tables in shards of rows. https://arxiv.org/abs/2104.04473
    """
    row_ids, rows = check_row_gradient("gradient", gradient)
    num_rows = integer("num_rows", num_rows, 1, INT32_MAX)
    first_row = integer_array("first_row", first_row)
    if first_row.shape:
        raise ValueError(f"first_row.shape={first_row.shape} must be one integer.")
    first_row, row_ids = (jnp.asarray(x, jnp.int32) for x in (first_row, row_ids))
    num_slots = min(row_ids.size, num_rows)
    first_slot = jnp.searchsorted(row_ids, first_row).astype(jnp.int32)
    slots = first_slot + lax.iota(jnp.int32, num_slots)
    filled = {"mode": "fill", "fill_value": 0, "wrap_negative_indices": False}
    row_ids = row_ids.at[slots].get(**filled) - first_row
    inside = (row_ids >= 0) & (row_ids < num_rows)
    rows = rows.at[slots].get(**filled)
    rows = jnp.where(inside[:, None], rows, jnp.zeros_like(rows))
    return RowGradient(jnp.where(inside, row_ids, num_rows), rows)


def _gathered(x, axis_name):
    """`x` of all replicas, one after another along the first axis."""
    manual = jax.sharding.get_abstract_mesh().manual_axes
    # `shard_map` keeps track of what is the same on all replicas; `vmap` does not.
    to = "invarying" if set(names_of(axis_name)) <= set(manual) else "varying"
    return lax.all_gather(x, axis_name, tiled=True, to=to)
