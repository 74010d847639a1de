"""Tables and head biases for more tokens, and for rows that devices can share."""

from functools import partial
from typing import Literal, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from ..._checks import check_key, choice, float_array, integer, positive_integer
from ..._dtypes import compute_dtype
from ..._public import public
from .placed import in_sharding_of

# What transformers multiplies the covariance of the old rows of a table with, and the
# standard deviation of those of a bias. New tokens are then about as likely as a token
# whose row is the mean.
_SPREAD = 1e-9


@public
def resize_vocabulary(
    weight: Float[Array | np.ndarray, "num_rows ..."],
    new_size: SupportsIndex,
    *,
    new_rows: Literal["mean_and_covariance", "mean", "zeros"]
    | Float[Array | np.ndarray, "num_new ..."] = "mean_and_covariance",
    valid_vocab_size: SupportsIndex | None = None,
    row_multiple: SupportsIndex = 1,
    key: PRNGKeyArray | None = None,
) -> Float[Array, "new_num_rows ..."]:
    """Returns a table, or the bias of a head, for more tokens; it never shrinks.

    Rows of tokens stay as they are, and new ones follow the last token. They are drawn
    from a normal distribution with the mean of the old rows and `1e-9` of their
    covariance, or are all the mean where that covariance is not positive definite, as
    transformers does. A bias is drawn with `1e-9` of the standard deviation. A 16-bit
    table rounds so small a variance off, and new rows are equal.

    Args:
        weight: A table `(num_rows, d_model)` or a bias `(num_rows,)`.
        new_size: Number of tokens of the result, the old ones included.
        new_rows: How new rows are made, or these rows, in the order of the tokens.
        valid_vocab_size: Number of old tokens, where rows of padding follow them. New
            tokens take the place of the padding, which has no part in the mean. `None`
            is the number of rows.
        row_multiple: Number that divides the rows of the result. Rows that are added
            for it are zeros.
        key: A JAX random key, for new rows of `"mean_and_covariance"`.

    Returns:
        An array of the same dtype, with at least as many rows as before and at least
        `new_size`. It is sharded as `weight` is.

    Raises:
        ValueError: If `new_size` is less than the number of old tokens, `weight` is
            neither a table nor a bias of real floats, `new_rows` is unknown or of
            another shape, `key` is missing, a size is not a positive integer, or the
            shards of `weight` do not divide the new rows.

    Example:
        >>> weight = jnp.array([[0.0, 2.0], [2.0, 2.0]])
        >>> resize_vocabulary(weight, 3, new_rows="mean")[2]
        Array([1., 2.], dtype=float32)

    Reference:
        Hewitt, Initializing New Word Embeddings for Pretrained Language Models, 2021.
        https://nlp.stanford.edu/~johnhew/vocab-expansion.html
    """
    check_rows("weight", weight)
    num_rows = weight.shape[0]
    old_size = num_rows
    if valid_vocab_size is not None:
        old_size = integer("valid_vocab_size", valid_vocab_size, 1, num_rows)
    new_size = positive_integer("new_size", new_size)
    if new_size < old_size:
        raise ValueError(
            f"{new_size=} must be at least {old_size}, the number of old tokens; slice "
            f"the rows to drop some: weight[:{new_size}]."
        )
    multiple = positive_integer("row_multiple", row_multiple)
    num_new = new_size - old_size
    total = -(-max(new_size, num_rows) // multiple) * multiple
    shape = (num_new, *weight.shape[1:])
    make, given = None, None
    if isinstance(new_rows, str):
        make = _MAKERS[choice("new_rows", new_rows, _MAKERS)]
    else:
        given = _given(new_rows, shape)
    if not num_new:
        make, given = None, jnp.zeros(shape, weight.dtype)
    elif make is _drawn:
        _check_key_of_rows(key)

    def resized(weight, given, key):
        rows = given
        if make is not None:
            old = weight[:old_size].astype(compute_dtype(weight.dtype))
            rows = make(old, shape, key)
        start = (old_size, *(0,) * (weight.ndim - 1))
        rows = rows.astype(weight.dtype)
        return lax.dynamic_update_slice(padded_rows(weight, total), rows, start)

    return in_sharding_of(weight, resized, total, jnp.asarray(weight), given, key)


def check_rows(argument, weight) -> None:
    """Raises unless `weight` is a table or a bias of real floats, and not empty."""
    float_array(argument, weight)
    if weight.ndim not in (1, 2) or 0 in weight.shape:
        raise ValueError(
            f"{argument}.shape={weight.shape} must be (rows, columns) or (rows,), all "
            "at least 1."
        )


def padded_rows(weight, num_rows):
    """`weight` with rows of zeros at the end."""
    added = (0, num_rows - weight.shape[0])
    return jnp.pad(weight, (added, *((0, 0),) * (weight.ndim - 1)))


def _check_key_of_rows(key) -> None:
    if key is None:
        raise ValueError(
            "key=None must be a random key, from which new rows are drawn; "
            'new_rows="mean" needs none.'
        )
    check_key(key)


def _given(rows, shape):
    float_array("new_rows", rows)
    if rows.shape != shape:
        raise ValueError(
            f"new_rows.shape={rows.shape} must be {shape}, a row for each new token."
        )
    return jnp.asarray(rows)


def _drawn(old, shape, key):
    """Rows near the mean of the old ones, as transformers draws them."""
    mean = old.mean(0, keepdims=True)
    normal = jax.random.normal(key, shape, old.dtype)
    if old.ndim == 1:
        deviation = old.std(ddof=1, keepdims=True) if len(old) > 1 else 0.0
        return mean + _SPREAD * deviation * normal
    centered = old - mean
    dot = partial(jnp.matmul, precision=lax.Precision.HIGHEST)
    # The factor of a covariance that is not positive definite is NaN, which is no bug.
    with jax.debug_nans(False):
        factor = jnp.linalg.cholesky(_SPREAD * dot(centered.T, centered) / len(old))
    factor = jnp.where(jnp.isnan(factor).any(), jnp.zeros_like(factor), factor)
    return mean + dot(normal, factor.T)


_MAKERS = {
    "mean_and_covariance": _drawn,
    "mean": lambda old, shape, key: jnp.broadcast_to(old.mean(0, keepdims=True), shape),
    "zeros": lambda old, shape, key: jnp.zeros(shape, old.dtype),
}
