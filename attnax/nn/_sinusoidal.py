"""The paper's sinusoids as an Equinox module."""

from collections.abc import Sequence
from typing import SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._checks import float_array, positive_integer
from .._public import public


class PositionalEncoding(eqx.Module):
    """Adds fixed sinusoids, as `attnax.functional.apply_positional_encoding` does.

    Args:
        max_len: End of the range `[0, max_len)` of positions. Positive. No table of
            that length is made.
        d_model: Width of the tokens. Positive.

    Raises:
        ValueError: If a size is not a positive integer.

    Example:
        >>> PositionalEncoding(max_len=16, d_model=4)(jnp.zeros((2, 5, 4))).shape
        (2, 5, 4)

    Reference:
        Vaswani et al., Attention Is All You Need, 2017, section 3.5.
        https://arxiv.org/abs/1706.03762
    """

    max_len: int = eqx.field(static=True)
    d_model: int = eqx.field(static=True)

    @public
    def __init__(self, max_len: SupportsIndex, d_model: SupportsIndex):
        self.max_len = positive_integer("max_len", max_len)
        self.d_model = positive_integer("d_model", d_model)

    @public
    @jax.named_scope("attnax.nn.PositionalEncoding")
    def __call__(
        self,
        x: Float[Array | np.ndarray, "*batch seq_len d_model"],
        start: SupportsIndex | Integer[Array | np.ndarray, ""] = 0,
        *,
        positions: Integer[Array | np.ndarray, "*#batch seq_len"]
        | Sequence
        | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch seq_len d_model"]:
        """Adds the sinusoids of positions `start ... start + seq_len - 1` to `x`.

        For tokens that do not follow one another, pass `positions` instead of `start`.
        """
        x = float_array("x", x)
        if x.shape[-1:] != (self.d_model,):
            raise ValueError(f"{x.shape=} must end in d_model={self.d_model}.")
        return F.apply_positional_encoding(
            x, positions, start=start, max_len=self.max_len
        )
