"""Rows selected from a table, which stand for it wherever rows are looked up."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from ..._checks import check_table, float_array, integer_array, row_indices
from ..._public import public
from ..._sharding import explicit_axes, sharding_like, spread, whole_array

# Ids become floats where a function is mapped over all leaves of a tree.
WAY_OUT = "; cast and scale the rows alone, and leave row_ids as they are"


@partial(
    jax.tree_util.register_dataclass,
    data_fields=("row_ids", "rows"),
    meta_fields=("vocab_size",),
)
@dataclass(frozen=True, eq=False)
class SelectedRows:
    """Some rows of a table, which stand for the table where a model looks rows up.

    Every lookup of attnax takes it in place of a table, and so does `table[ids]` in
    other code. A row that was not selected is NaN. A product with the table raises an
    error, because it needs all rows. `select_rows` makes the record.

    Attributes:
        row_ids: Ids of the rows, int32 `(num_rows,)`, distinct and ascending. Unused
            slots come last and hold `vocab_size`.
        rows: The rows, `(num_rows, d_model)`. Those of unused slots are zeros.
        vocab_size: Number of rows of the table.
    """

    # Transformations put other things than arrays in place of the leaves.
    row_ids: Any
    rows: Any
    vocab_size: int

    # What the error of a function that multiplies a table says.
    way_out = "leave a table that is not only looked up out of row_value_and_grad"

    @property
    def shape(self):
        """The shape of the table."""
        return (self.vocab_size, *self.rows.shape[1:])

    @property
    def ndim(self):
        """The number of axes of the table."""
        return self.rows.ndim

    @property
    def dtype(self):
        """The dtype of the table."""
        return self.rows.dtype

    # Python would count ids up from 0 without an end that it knows.
    __iter__ = None

    @public
    def __getitem__(self, token_ids):
        """The rows of token ids; an id that was not selected gives a row of NaN."""
        if isinstance(token_ids, tuple):
            raise ValueError(
                f"{token_ids=} must not be a tuple, which would index rows and columns "
                "of a table; pass ids as an array, and index the columns of the rows."
            )
        indices = row_indices("token_ids", token_ids, self.vocab_size)
        return self.rows.at[slots_of(self, indices)].get(
            mode="fill", fill_value=jnp.nan, wrap_negative_indices=False
        )


def check_looked_up(argument, table):
    """Raises unless `table` is a table, or rows selected from one."""
    if not isinstance(table, SelectedRows):
        check_table(argument, table)
        return
    rows = float_array(f"{argument}.rows", table.rows)
    row_ids = integer_array(f"{argument}.row_ids", table.row_ids, WAY_OUT)
    if rows.ndim != 2 or row_ids.shape != rows.shape[:1]:
        raise ValueError(
            f"{argument}.rows.shape={rows.shape} must be (num_rows, d_model), and "
            f"{argument}.row_ids.shape={row_ids.shape} (num_rows,)."
        )


def slots_of(selected, indices):
    """The slots of rows by their indices in the table; -1 where one is not there."""
    # JAX cannot search for ids that are sharded over explicit axes.
    ids, axes = whole_array(indices), explicit_axes(indices)
    slots = jnp.searchsorted(selected.row_ids, ids).astype(jnp.int32)
    found = selected.row_ids.at[slots].get(mode="fill", fill_value=-1)
    slots = jnp.where((found == ids) & (ids >= 0), slots, -1)
    return spread(slots, sharding_like(indices, axes))
