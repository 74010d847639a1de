"""The sum of tokens and position vectors, for sinusoids and learned positions."""

from ..._checks import COUNT_FROM, check_one_per_token
from ..._dtypes import compute_dtype
from ..._sharding import explicit_axes, sharding_beside, spread


def add_rows(x, rows):
    """Returns `x + rows`, computed in float32 or wider and rounded once.

    The caller calls `check_rows` first.
    """
    dtype = compute_dtype(x.dtype, rows.dtype)
    if explicit_axes(x) is not None:  # the sum is sharded as `x` is
        rows = spread(rows, sharding_beside(x, rows.shape[:-1]))
    rows = rows.astype(dtype).reshape((1,) * (x.ndim - rows.ndim) + rows.shape)
    return (x.astype(dtype) + rows).astype(x.dtype)


def check_rows(x, batch):
    """Raises unless rows `(*batch, d_model)` fit `x` without enlarging it.

    The caller calls it before the rows are made, since they may be large.
    """
    what = "the batch and sequence axes of x"
    check_one_per_token("positions", batch, x.shape[:-1], what, COUNT_FROM)
