"""The sum of tokens and position vectors, for sinusoids and learned positions."""

from ..._checks import COUNT_FROM, broadcasts_to
from ..._dtypes import compute_dtype
from ..._sharding import explicit_axes, sharding_beside, spread


def add_rows(x, rows):
    """`x + rows` in float32 or wider, rounded once; `check_rows` comes first."""
    dtype = compute_dtype(x.dtype, rows.dtype)
    if explicit_axes(x) is not None:  # the sum is sharded as `x` is
        rows = spread(rows, sharding_beside(x, rows.shape[:-1]))
    rows = rows.astype(dtype).reshape((1,) * (x.ndim - rows.ndim) + rows.shape)
    return (x.astype(dtype) + rows).astype(x.dtype)


def check_rows(x, batch):
    """Raises unless rows `(*batch, d_model)` fit `x` without enlarging it.

    It is called before the rows are made, since they may be large.
    """
    wanted = x.shape[:-1]
    if batch[-1:] != wanted[-1:] or not broadcasts_to(batch, wanted):
        hint = COUNT_FROM if batch[-1:] in ((), (1,)) else ""
        raise ValueError(
            f"positions of shape {tuple(batch)} must broadcast to "
            f"{wanted}, the batch and sequence axes of x{hint}."
        )
