"""Tables of biases: one row for each class of distances, one column for each head."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ...._checks import check_params, check_table
from ...._dtypes import compute_dtype

# Pairs that are added up together, and the sums among which they are divided. Errors of
# rounding grow with the quotient and not with the number of pairs.
_PAIRS, _SUMS = 4096, 64


class TableBiasParams(NamedTuple):
    """Parameters of a bias that is a table of numbers.

    Attributes:
        table: The bias of each row and head. Released models with a column for each
            row, such as LayoutLMv2, are transposed.
    """

    table: Float[Array, "num_rows num_heads"]


def draw_table(key, num_rows, num_heads, init_std, dtype) -> TableBiasParams:
    """Draws a table from a normal distribution, rounded once."""
    table = jax.random.normal(key, (num_rows, num_heads), compute_dtype(dtype))
    return TableBiasParams(table=(init_std * table).astype(dtype))


def check_bias_table(params, num_rows, num_heads) -> None:
    """Raises unless the table has `num_rows` rows and `num_heads` columns."""
    check_params(params, TableBiasParams)
    table = params.table
    check_table("params.table", table)
    if table.shape != (num_rows, num_heads):
        raise ValueError(
            f"params.table.shape={table.shape} must be {(num_rows, num_heads)}, "
            "(num_rows, num_heads) of the bias."
        )


def biases_at(table, rows):
    """The biases `(num_heads, *rows)` at rows of a table, in its compute dtype.

    Rows lie in the table. The gradient is added up in the compute dtype and rounded
    once to the dtype of the table.
    """
    return _biases(jnp.asarray(table), jnp.asarray(rows))


def bias_at(table, rows, head):
    """The biases at rows and heads, which broadcast, in the compute dtype."""
    table = jnp.asarray(table)
    wide = table.astype(compute_dtype(table.dtype))
    return wide.at[rows, head].get(mode="clip")


# As in `lookup_rows`, tangents pass through the wide dtype.
@jax.custom_jvp
def _biases(table, rows):
    taken = jnp.take(table.T, rows, axis=1, mode="clip")
    return taken.astype(compute_dtype(table.dtype))


@_biases.defjvp
def _biases_jvp(primals, tangents):
    table, rows = primals
    wide = jnp.asarray(tangents[0]).astype(compute_dtype(table.dtype))
    return _biases(table, rows), _linear(wide, rows)


def _linear(table, rows):
    """The same, in a form whose transpose adds up few numbers in one sum."""
    if rows.size == 0:
        return jnp.zeros((table.shape[1], *rows.shape), table.dtype)
    pairs = min(_PAIRS, -(-rows.size // _SUMS) * _SUMS)
    blocks = -(-rows.size // pairs)
    inner = min(blocks, 64)
    outer = -(-blocks // inner)
    flat = jnp.pad(rows.reshape(-1), (0, outer * inner * pairs - rows.size))
    flat = flat.reshape(outer, inner, _SUMS, pairs // _SUMS)

    def of_head(column):
        def of_block(block):
            columns = jnp.broadcast_to(column, (_SUMS, *column.shape))
            return jnp.take_along_axis(columns, block, axis=1, mode="clip")

        return lax.map(partial(lax.map, of_block), flat)

    taken = lax.map(of_head, table.T).reshape(table.shape[1], -1)
    return taken[:, : rows.size].reshape(table.shape[1], *rows.shape)
