"""What a bias reads of queries and keys beside their positions, checked."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from ...._checks import array_of, float_array
from ...._dtypes import compute_dtype


class PerHead(NamedTuple):
    """Vectors of every head, `(*batch, seq_len, num_heads, width)`."""

    num_heads: int
    width: int

    def checked(self, argument, x):
        """The vectors in float32 or wider, with the heads in front of the tokens."""
        x = float_array(argument, x, "seq_len", "num_heads", "width", nan=False)
        return jnp.moveaxis(jnp.asarray(x, compute_dtype(x.dtype)), -2, -3)


class PerToken(NamedTuple):
    """Vectors of tokens, `(*batch, seq_len, width)`."""

    width: int

    def checked(self, argument, x):
        """The vectors in float32 or wider."""
        x = float_array(argument, x, "seq_len", "width", nan=False)
        return jnp.asarray(x, compute_dtype(x.dtype))


class Numbers(NamedTuple):
    """Integers of tokens, `(*batch, seq_len, *sizes)`, such as segments."""

    sizes: tuple[int, ...] = ()

    def checked(self, argument, x):
        """The integers as an array."""
        x = array_of(argument, x)
        if not jnp.issubdtype(x.dtype, jnp.integer):
            raise ValueError(f"{argument}.dtype={x.dtype} must be an integer dtype.")
        return jnp.asarray(x)


class Content(NamedTuple):
    """What tokens hold, as far as a bias reads it.

    Attributes:
        q: What it reads of queries, or `None`. Vectors of heads are
            `(*batch, num_heads, q_len, width)`.
        k: The same of keys.
        precision: Precision of matrix products.
    """

    q: jax.Array | None
    k: jax.Array | None
    precision: Any


def content_of(bias, pairs, q, k, precision) -> Content:
    """What `bias` reads of queries and keys, in the shapes that it and `pairs` tell."""
    q_len, k_len = pairs.lengths
    q, k = _read(bias, "q", q, q_len), _read(bias, "k", k, k_len)
    batches = {
        name: x.shape[: x.ndim - own_axes(bias, name)]
        for name, x in (("q", q), ("k", k))
        if x is not None
    }
    try:
        np.broadcast_shapes(pairs.batch, *batches.values())
    except ValueError:
        raise ValueError(
            f"{' and '.join(batches)} with batch axes "
            f"{' and '.join(map(str, batches.values()))}, and positions with "
            f"{pairs.batch}, must broadcast."
        ) from None
    return Content(q, k, precision)


def own_axes(bias, argument) -> int:
    """The number of axes of `q` or `k` after the batch axes."""
    kind = bias._reads[argument]
    return 1 + len(kind.sizes if isinstance(kind, Numbers) else kind)


def _read(bias, argument, x, length):
    record, kind = type(bias).__name__, bias._reads.get(argument)
    if kind is None:
        if x is not None:
            raise ValueError(f"{argument} must be None: a {record} does not read it.")
        return None
    if x is None:
        raise ValueError(f"{argument} must be given: a {record} reads it.")
    sizes = kind.sizes if isinstance(kind, Numbers) else tuple(kind)
    checked = kind.checked(argument, x)
    shape = np.shape(x)
    wanted = (length, *sizes)
    if shape[-len(wanted) :] != wanted:
        raise ValueError(
            f"{argument}.shape={shape} must end in {wanted}, one entry for each "
            "position."
        )
    return checked
