"""Rows of a table by index: the gather under token and learned position embeddings."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._checks import exceeds
from ..._dtypes import compute_dtype
from ..._sharding import gathered, per_row, sharding_of_lookup
from .lookup_kernel import take_rows
from .selected import SelectedRows, slots_of


def default_positions(seq_len, num_positions, tokens):
    """`None` where the first `seq_len` rows of a table are read, or else positions.

    A symbolic length needs positions, since only the program knows whether it fits.
    Errors call the input that is too long `tokens`.
    """
    too_long = exceeds(seq_len, num_positions)
    if too_long:
        raise ValueError(
            f"{seq_len=} must be at most {num_positions=}; shorten "
            f"{tokens}, or pass positions inside the table."
        )
    return None if too_long is False else jnp.arange(seq_len, dtype=jnp.int32)


def lookup_rows(
    weight, indices, *, frozen_row=None, nan_outside=True, out_sharding=None
) -> Any:
    """Rows of `weight` in its compute dtype; where an index is -1, the row is NaN.

    The gradient is added up in the compute dtype and rounded once to the dtype of
    `weight`. Rows at -1 and the row `frozen_row` add nothing to it. Without
    `nan_outside`, any row may stand where an index is -1, for a caller that selects.
    """
    if isinstance(weight, SelectedRows):
        rows = lookup_rows(
            weight.rows, slots_of(weight, indices), out_sharding=out_sharding
        )
        if frozen_row is None:
            return rows
        is_frozen = per_row(indices == frozen_row, rows)
        return jnp.where(is_frozen, lax.stop_gradient(rows), rows)
    if out_sharding is None:
        out_sharding = sharding_of_lookup(indices, weight)
    return _rows(jnp.asarray(weight), indices, frozen_row, nan_outside, out_sharding)


# Automatic differentiation would add tangents up in the dtype of the table.
@partial(jax.custom_jvp, nondiff_argnums=(2, 3, 4))
def _rows(weight, indices, frozen_row, nan_outside, out_sharding):
    rows = gathered(
        weight,
        indices,
        mode="clip",
        wrap_negative_indices=False,
        out_sharding=out_sharding,
    )
    if not nan_outside:
        return rows.astype(compute_dtype(weight.dtype))
    # NaN is selected as an integer: XLA's CPU backend would convert each 16-bit float
    # to select it, and `jax_debug_nans` would find it where no row is lost. The rows
    # are cast, not the table: outside `jit` its cast would be a copy.
    nan = np.asarray(jnp.nan, weight.dtype)
    nan = nan.view(f"u{nan.itemsize}")
    bits = lax.bitcast_convert_type(rows, nan.dtype)
    bits = jnp.where(per_row(indices >= 0, rows), bits, nan)
    rows = lax.bitcast_convert_type(bits, weight.dtype)
    return rows.astype(compute_dtype(weight.dtype))


@_rows.defjvp
def _rows_jvp(frozen_row, nan_outside, out_sharding, primals, tangents):
    weight, indices = primals
    rows = _rows(weight, indices, frozen_row, nan_outside, out_sharding)
    if frozen_row is not None:
        indices = jnp.where(indices == frozen_row, -1, indices)
    return rows, take_rows(jnp.asarray(tangents[0]), indices, like=rows)
