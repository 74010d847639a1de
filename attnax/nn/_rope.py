"""Rotary embedding as an Equinox module."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .. import functional as F


class RotaryEmbedding(eqx.Module):
    """Rotary positions, see `attnax.functional.apply_rope`. It has no leaves.

    Args:
        head_dim: Features of a head. Positive and even, unless `rotary_dim` is given.
        max_positions: Positions must lie in `[0, max_positions)`. No table is made.
        base: Base of the frequencies. Positive.
        dtype: Of what `cos_sin_for_positions` returns; calls rotate in float32.
        rotary_dim: Features of a head that rotate, the leading ones; `None` is all.
            Positive and even.
        layout: `"half"` or `"interleaved"`, see `attnax.functional.apply_rope`.

    Raises:
        ValueError: If `head_dim` is odd or another setting breaks its rule.

    Example:
        >>> rope = RotaryEmbedding(head_dim=8, max_positions=16)
        >>> rope(jnp.ones((2, 5, 3, 8))).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """

    head_dim: int = eqx.field(static=True)
    max_positions: int = eqx.field(static=True)
    base: float = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    rotary_dim: int = eqx.field(static=True)
    layout: str = eqx.field(static=True)

    def __init__(
        self,
        head_dim: int,
        max_positions: int,
        *,
        base: float = 10_000.0,
        dtype: DTypeLike = jnp.float32,
        rotary_dim: int | None = None,
        layout: str = "half",
    ):
        self.head_dim = head_dim
        self.max_positions = max_positions
        self.base = base
        self.dtype = np.dtype(dtype)
        self.rotary_dim = head_dim if rotary_dim is None else rotary_dim
        self.layout = layout

    def __check_init__(self):
        name = "head_dim" if self.rotary_dim == self.head_dim else "rotary_dim"
        if self.rotary_dim <= 0 or self.rotary_dim % 2 != 0:
            raise ValueError(
                f"RotaryEmbedding: {name}={self.rotary_dim} must be positive and even."
            )
        if self.rotary_dim > self.head_dim:
            raise ValueError(
                f"RotaryEmbedding: rotary_dim={self.rotary_dim} must be at most "
                f"head_dim={self.head_dim}."
            )
        if self.max_positions <= 0:
            raise ValueError(
                f"RotaryEmbedding: max_positions={self.max_positions} must be positive."
            )
        # The functions' own rules, without a computation.
        x = jax.ShapeDtypeStruct((1, 1, self.head_dim), jnp.float32)
        jax.eval_shape(self.__call__, x)
        jax.eval_shape(self.cos_sin_for_positions, jnp.zeros((1,), jnp.int32))

    def cos_sin_for_positions(
        self,
        position_ids: Integer[Array | np.ndarray, "*positions"],
        *,
        out_dtype: DTypeLike | None = None,
    ) -> tuple[
        Float[Array, "*positions rotary_pairs"], Float[Array, "*positions rotary_pairs"]
    ]:
        """`(cos, sin)` of positions, in `out_dtype` or else the module's `dtype`."""
        return F.rope_cos_sin_from_positions(
            position_ids,
            self.rotary_dim,
            self.base,
            self.max_positions,
            self.dtype if out_dtype is None else out_dtype,
        )

    @jax.named_scope("attnax.nn.RotaryEmbedding")
    def __call__(
        self,
        x: Float[Array, "*batch seq_len num_heads head_dim"],
        positions: Integer[Array | np.ndarray, "*#batch seq_len"] | None = None,
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch seq_len num_heads head_dim"]:
        """Rotates `x` by `positions`, by default `0 ... seq_len - 1`."""
        if x.ndim < 3 or x.shape[-1] != self.head_dim:
            raise ValueError(
                f"RotaryEmbedding: {x.shape=} must be (..., seq_len, num_heads, "
                f"head_dim={self.head_dim})."
            )
        if positions is None:
            seq_len = x.shape[-3]
            if seq_len > self.max_positions:
                raise ValueError(
                    f"RotaryEmbedding: {seq_len=} must be at most "
                    f"max_positions={self.max_positions}."
                )
            positions = jnp.arange(seq_len, dtype=jnp.int32)
        cos, sin = self.cos_sin_for_positions(positions, out_dtype=jnp.float32)
        cos, sin = cos[..., None, :], sin[..., None, :]
        return F.apply_rope(x, cos, sin, layout=self.layout)
