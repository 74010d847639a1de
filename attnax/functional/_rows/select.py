"""The distinct rows that a step reads."""

from collections.abc import Sequence
from typing import SupportsIndex

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from ..._checks import check_table, row_indices
from ..._public import public
from ..._sharding import whole_array
from .._tables.selected import SelectedRows
from .gradient import check_size_is_known
from .storage import read_rows


@public
def select_rows(
    weight: Float[Array | np.ndarray, "vocab_size d_model"],
    token_ids: Integer[Array | np.ndarray, "*ids"] | Sequence | SupportsIndex,
) -> SelectedRows:
    """Returns the distinct rows of a table that ids read, to stand for the table.

    `row_value_and_grad` calls it. Call it yourself to differentiate with other
    transformations than that of JAX: the gradient of `rows` is that of the table in
    `row_ids`.

    Args:
        weight: A table.
        token_ids: Ids in `[0, vocab_size)`, of any shape and any integer dtype. They
            may repeat.

    Returns:
        As many slots as there are ids, or rows of the table if those are fewer, but at
        least one. A traced id out of range is dropped.

    Raises:
        ValueError: If `weight` is not a table of real floats, the ids are not integers,
            or an id that is known outside every transformation is out of range.

    Example:
        >>> selected = select_rows(jnp.eye(5), jnp.array([[4, 1], [1, 4]]))
        >>> selected.row_ids, selected[jnp.array(4)]
        (Array([1, 4, 5, 5], dtype=int32), Array([0., 0., 0., 0., 1.], dtype=float32))

    Reference:
        TensorFlow, `tf.nn.embedding_lookup` and `tf.IndexedSlices`.
        https://www.tensorflow.org/api_docs/python/tf/IndexedSlices
    """
    check_table("weight", weight)
    ids = row_indices("token_ids", token_ids, weight.shape[0])
    return selected_rows(weight, whole_array(ids).reshape(-1))


def selected_rows(weight, indices):
    """The distinct rows of a table at a list of indices; -1 is no row."""
    check_size_is_known("token_ids", indices)
    vocab_size = weight.shape[0]
    row_ids = _distinct(indices, vocab_size)
    return SelectedRows(row_ids, read_rows(jnp.asarray(weight), row_ids), vocab_size)


def _distinct(indices, num_rows):
    """The distinct indices that are not negative, ascending, and then `num_rows`."""
    ids = jnp.sort(jnp.where(indices >= 0, indices, num_rows))
    repeats = jnp.concatenate([jnp.zeros_like(ids[:1], bool), ids[1:] == ids[:-1]])
    ids = jnp.sort(jnp.where(repeats, num_rows, ids))
    num_slots = max(1, min(ids.size, num_rows))
    return jnp.pad(ids, (0, num_slots), constant_values=num_rows)[:num_slots]
