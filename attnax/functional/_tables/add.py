"""Adding position vectors to tokens: the sum under sinusoids and learned positions."""

from ..._checks import COUNT_FROM
from ..._dtypes import compute_dtype, float_dtype
from ..._sharding import explicit_axes, sharding_beside, spread


def add_rows(x, rows):
    """`x + rows` in float32 or wider, rounded once; the rows are checked before."""
    dtype = compute_dtype(x.dtype, rows.dtype)
    if explicit_axes(x) is not None:  # the sum is sharded as `x` is
        rows = spread(rows, sharding_beside(x, rows.shape[:-1]))
    rows = rows.astype(dtype).reshape((1,) * (x.ndim - rows.ndim) + rows.shape)
    return (x.astype(dtype) + rows).astype(x.dtype)


def check_rows(x, batch):
    """A `ValueError` unless rows of these axes fit `x` and never enlarge it.

    Before the rows are made, which may be large.
    """
    float_dtype("x.dtype", x.dtype)
    wanted = x.shape[:-1]
    pairs = zip(reversed(batch[:-1]), reversed(wanted[:-1]), strict=False)
    if (
        not batch
        or len(batch) > len(wanted)
        or batch[-1] != wanted[-1]
        or any(p not in (1, n) for p, n in pairs)
    ):
        hint = COUNT_FROM if batch[-1:] in ((), (1,)) else ""
        raise ValueError(
            f"positions of shape {tuple(batch)} must broadcast to "
            f"{wanted}, the batch and sequence axes of x{hint}."
        )
