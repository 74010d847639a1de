"""Tokens that belong to no patch and no text: class tokens, registers, prompts."""

from typing import SupportsIndex, SupportsInt

import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.export import is_symbolic_dim
from jaxtyping import Array, Float

from ..._checks import exceeds, float_array, is_integer
from ..._dtypes import compute_dtype
from ..._public import public
from ..._sharding import explicit_axes, sharding_beside, sharding_like, spread


@public
def insert_tokens(
    x: Float[Array | np.ndarray, "*batch seq_len d_model"],
    tokens: Float[Array | np.ndarray, "num_tokens d_model"],
    *,
    index: SupportsIndex | SupportsInt = 0,
) -> Float[Array, "*batch new_len d_model"]:
    """Inserts the same tokens into every sequence, before token `index`.

    Args:
        x: Sequences of vectors.
        tokens: Vectors to insert. They are rounded to the dtype of `x`.
        index: Place in `[0, seq_len]`. 0 is the front (the class token of a ViT),
            `seq_len` the end (that of Llama 4).

    Returns:
        Sequences of `seq_len + num_tokens` vectors, in the dtype of `x`.

    Raises:
        ValueError: If the widths differ, a dtype is not a real float, or `index` is no
            integer or out of range.

    Example:
        >>> x, tokens = jnp.array([[1.0], [2.0]]), jnp.array([[7.0]])
        >>> insert_tokens(x, tokens, index=1).ravel()
        Array([1., 7., 2.], dtype=float32)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1.
        https://arxiv.org/abs/2010.11929; Darcet et al., Vision Transformers Need
        Registers, 2023, section 2.2. https://arxiv.org/abs/2309.16588
    """
    x = jnp.asarray(float_array("x", x))
    tokens = jnp.asarray(float_array("tokens", tokens))
    if x.ndim < 2 or tokens.ndim != 2 or x.shape[-1] != tokens.shape[-1]:
        raise ValueError(
            f"{x.shape=} must be (..., seq_len, d_model) and "
            f"{tokens.shape=} (num_tokens, d_model) of the same width."
        )
    seq_len = x.shape[-2]
    if not _is_inside(index, seq_len):
        raise ValueError(f"{index=} must be an integer in [0, {seq_len}].")
    shape = (*x.shape[:-2], *tokens.shape)
    axes = (x.ndim - 2, x.ndim - 1)
    out = sharding_like(x, explicit_axes(x))
    tokens = spread(tokens, sharding_beside(x, (1,)))
    # Rounding comes after the broadcast, so gradients are added up in float32.
    tokens = tokens.astype(compute_dtype(x.dtype, tokens.dtype))
    tokens = lax.broadcast_in_dim(tokens, shape, axes, out_sharding=out).astype(x.dtype)
    return jnp.concatenate([x[..., :index, :], tokens, x[..., index:, :]], axis=-2)


def _is_inside(index, seq_len):
    """Returns whether `index` is in `[0, seq_len]` for all values of symbols."""
    if not is_integer(index) and not is_symbolic_dim(index):
        return False
    return exceeds(0, index) is False and exceeds(index, seq_len) is False
