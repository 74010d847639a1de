"""Queries and keys that a bias depends on, checked and with heads in front."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..._checks import float_array
from ..._dtypes import compute_dtype


class Content(NamedTuple):
    """What tokens hold, as far as a bias reads it.

    Attributes:
        q: Queries, `(*batch, num_heads, q_len, width)`, in float32 or wider, or `None`.
        k: Keys, `(*batch, num_heads, k_len, width)`, or `None`.
        precision: Precision of matrix products.
    """

    q: jax.Array | None
    k: jax.Array | None
    precision: Any


def content_of(bias, pairs, q, k, precision) -> Content:
    """The queries and keys that `bias` reads, in the shapes that `pairs` tell."""
    q_len, k_len = pairs.lengths
    return Content(
        _heads_first(bias, "q", q, q_len), _heads_first(bias, "k", k, k_len), precision
    )


def _heads_first(bias, name, x, length):
    kind = type(bias).__name__
    if name not in bias._reads:
        if x is not None:
            raise ValueError(f"{name} must be None: a {kind} does not depend on it.")
        return None
    if x is None:
        raise ValueError(f"{name} must be given: a {kind} depends on it.")
    x = float_array(name, x, "seq_len", "num_heads", "width", nan=False)
    wanted = (length, bias.num_heads, bias._width)
    if x.shape[-3:] != wanted:
        raise ValueError(
            f"{name}.shape={x.shape} must end in {wanted}, one row for each position "
            "and head."
        )
    return jnp.moveaxis(jnp.asarray(x, compute_dtype(x.dtype)), -2, -3)
