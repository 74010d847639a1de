"""Tables of biases: one row for each class of distances, one column for each head."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ...._checks import check_params, check_table, is_known
from ...._dtypes import compute_dtype
from .copies import copies_of
from .held import held
from .parameters import check_shapes, draw_normal

# Cotangents that are added up one after another: errors of rounding grow with this
# number, and not with that of the pairs. Tables of many rows have longer chains, so
# that there are fewer sums than pairs.
_CHAIN = 16
# Pairs that are added up together, in many chains, while they are in the cache.
_BLOCK = 16384


class TableBiasParams(NamedTuple):
    """Parameters of a bias that is a table of numbers.

    Attributes:
        table: The bias of each row and head. Released models with a column for each
            row, such as LayoutLMv2, are transposed.
    """

    table: Float[Array, "num_rows num_heads"]


def draw_table(key, num_rows, num_heads, init_std, dtype) -> TableBiasParams:
    """Draws a table from a normal distribution, rounded once."""
    shape = num_rows, num_heads
    return TableBiasParams(table=draw_normal(key, shape, init_std, dtype))


def check_bias_table(params, num_rows, num_heads, argument="params") -> None:
    """Raises unless the table has `num_rows` rows and `num_heads` columns."""
    check_params(params, TableBiasParams, argument)
    check_table(f"{argument}.table", params.table)
    check_shapes(params, {"table": (num_rows, num_heads)}, argument)


def biases_at(table, rows):
    """The biases `(num_heads, *rows)` at rows of a table, in its compute dtype.

    Rows lie in the table. The gradient is added up in the compute dtype and rounded
    once to the dtype of the table.
    """
    rows = jnp.asarray(rows) if is_known(rows) else held(rows)
    return _biases(jnp.asarray(table), rows)


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
    num_rows, num_heads = table.shape
    chain = max(_CHAIN, 1 << (max(num_rows // 4, 1).bit_length() - 1))
    chains = max(1, min(_BLOCK, -(-rows.size // _CHAIN) * _CHAIN) // chain)
    blocks = -(-rows.size // (chain * chains))
    flat = jnp.pad(rows.reshape(-1), (0, blocks * chain * chains - rows.size))
    flat = flat.reshape(blocks, chains, chain)

    def of_block(block):
        column, indices = block
        columns = copies_of(column, chains)
        return jnp.take_along_axis(columns, indices, axis=1, mode="clip")

    def of_head(column):
        return lax.map(of_block, (copies_of(column, blocks), flat))

    taken = lax.map(of_head, table.T).reshape(num_heads, -1)
    return taken[:, : rows.size].reshape(num_heads, *rows.shape)
