"""Adding position vectors to tokens: the sum under sinusoids and learned positions."""

from .._dtypes import compute_dtype, float_dtype


def add_rows(function, x, rows, positions_shape):
    """`x + rows` in float32 or wider, rounded once; `rows` never enlarge `x`."""
    float_dtype(function, "x.dtype", x.dtype)
    batch, wanted = positions_shape, x.shape[:-1]
    pairs = zip(reversed(batch[:-1]), reversed(wanted[:-1]), strict=False)
    if (
        not batch
        or len(batch) > len(wanted)
        or batch[-1] != wanted[-1]
        or any(p not in (1, n) for p, n in pairs)
    ):
        raise ValueError(
            f"{function}: positions of shape {tuple(batch)} must broadcast to "
            f"{wanted}, the batch and sequence axes of x."
        )
    dtype = compute_dtype(x.dtype, rows.dtype)
    rows = rows.astype(dtype).reshape((1,) * (x.ndim - rows.ndim) + rows.shape)
    return (x.astype(dtype) + rows).astype(x.dtype)
