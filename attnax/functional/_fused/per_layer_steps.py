"""The two parts of per-layer embeddings: rows of a table, and projected tokens."""

import jax.numpy as jnp
import numpy as np
from jax import lax

from ..._checks import integer_array, row_indices
from ..._dtypes import compute_dtype
from .._tables.logits import logits_product
from .._tables.lookup import lookup_rows
from .rounding import rounded_to


def scale_in(scale, rounded, dtype):
    """A number, rounded to one dtype unless that is `None`, and then to another."""
    rounded = np.array(scale).astype(dtype if rounded is None else rounded)
    return rounded.astype(dtype)


def rows_of_layers(params, token_ids, x, outside_id, step):
    """Scaled rows `(*batch, num_layers, d_layer)` in the compute dtype of the table."""
    num_rows, width = params.weight.shape[0], params.norm_scale.shape[0]
    if outside_id is None:
        indices = row_indices("token_ids", token_ids, num_rows)
    else:
        indices = _rows_or_outside(token_ids, num_rows, outside_id)
    if indices.shape != x.shape[:-1]:
        raise ValueError(
            f"token_ids.shape={indices.shape} must be {x.shape[:-1]}, an id for each "
            "token of x."
        )
    rows = lookup_rows(params.weight, indices)
    scale = np.array(width**0.5).astype(params.weight.dtype).astype(rows.dtype)
    rows = rounded_to(rows * scale, step)
    return rows.reshape(*indices.shape, rows.shape[-1] // width, width)


def _rows_or_outside(token_ids, num_rows, outside_id):
    """Ids as int32 rows, with `outside_id` for all that are outside the table."""
    ids = integer_array("token_ids", token_ids)
    numpy = np if isinstance(ids, np.ndarray) else jnp
    if ids.dtype.itemsize < 4:  # the narrow dtype may not hold the bound
        ids = ids.astype(np.int32)
    # Compared before the cast, which would wrap an id beyond int32 into the table.
    inside = (ids >= 0) & (ids < num_rows)
    outside = numpy.full_like(ids, outside_id)
    return jnp.asarray(numpy.where(inside, ids, outside).astype(np.int32))


def project(params, x, eps, scale_dtype, step, precision):
    """Tokens `(*batch, d_model)` as normalized `(*batch, num_layers, d_layer)`."""
    weight = params.projection
    wide = compute_dtype(x.dtype, weight.dtype)
    operand = x.dtype if x.dtype == weight.dtype else wide
    product = logits_product(x, weight.T, operand, wide, precision, None)
    scale = scale_in(x.shape[-1] ** -0.5, scale_dtype, wide)
    product = rounded_to(rounded_to(product, step) * scale, step)
    width = params.norm_scale.shape[0]
    layers = product.reshape(*x.shape[:-1], product.shape[-1] // width, width)
    square = jnp.mean(layers**2, axis=-1, keepdims=True)
    factors = params.norm_scale.astype(wide)
    factors = factors.reshape((1,) * (layers.ndim - 1) + factors.shape)
    return rounded_to(layers * lax.rsqrt(square + eps) * factors, step)
