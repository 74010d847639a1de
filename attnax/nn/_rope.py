"""Rotary embedding as an Equinox module."""

from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._checks import (
    choice,
    exceeds,
    float_array,
    plain_number,
    positive_integer,
    positive_multiple,
)
from .._dtypes import result_dtype
from .._public import public
from ..functional._rope.frequencies import exact_geometric
from ..functional._rope.kernel import ORDERS
from ..functional._rope.record import check_rope
from ..functional._rope.rotary_cos_sin import cos_sin_of_rope
from ..functional._rope.rotation import rotate_heads
from ..functional._rope.rotation_checks import (
    check_head_axis,
    check_rotated,
    rotating_channels,
    sequence_axis,
)
from ._made import from_fields

_NO_RECORD = (
    "; a layer without one needs no module, and elements of stack_ropes go into "
    "attnax.functional.rotate"
)


class RotaryEmbedding(eqx.Module):
    """Rotates queries and keys by position, as `attnax.functional.rotate` does.

    The module has no leaves. `RotaryEmbedding.from_rope` makes one from any `Rope`:
    with scaled frequencies, several axes, or as `attnax.interop.rope_from_hf` returns
    it.

    Args:
        head_dim: Number of features of a head. Positive, and even unless `rotary_dim`
            is given.
        max_positions: End of the range `[0, max_positions)` of positions. Positive. No
            table is made.
        base: Base of the frequencies. Positive.
        dtype: Dtype of the results of `cos_sin_for_positions`. Calls ignore it: their
            cos and sin are float32.
        rotary_dim: Number of leading features of a head that rotate. Positive and even.
            `None` is all features.
        layout: `"half"` or `"interleaved"`, see `attnax.functional.apply_rope`.
        head_axis: Axis of heads in `x`: -2 for heads after the sequence, -3 for heads
            before it, `None` for no such axis.

    Attributes:
        rope: Record of the rotation.
        head_dim: Number of features of a head. `None` is any number that holds the
            channels of `rope`.
        max_positions: End of the range of positions. `None` is no end.
        base: Base of the frequencies. `None` for a module made by `from_rope`.

    Raises:
        ValueError: If a size is not a positive integer, `head_dim` is odd without a
            `rotary_dim`, or another setting breaks its rule.

    Example:
        >>> rope = RotaryEmbedding(head_dim=8, max_positions=16)
        >>> rope(jnp.ones((2, 5, 3, 8))).shape
        (2, 5, 3, 8)

    Reference:
        Su et al., RoFormer, 2021, eq. 34. https://arxiv.org/abs/2104.09864
    """

    rope: F.Rope = eqx.field(static=True)
    head_dim: int | None = eqx.field(static=True)
    max_positions: int | None = eqx.field(static=True)
    base: float | None = eqx.field(static=True)
    dtype: np.dtype = eqx.field(static=True)
    head_axis: int | None = eqx.field(static=True)

    @public
    def __init__(
        self,
        head_dim: SupportsIndex,
        max_positions: SupportsIndex,
        *,
        base: SupportsFloat = 10_000.0,
        dtype: DTypeLike | None = jnp.float32,
        rotary_dim: SupportsIndex | None = None,
        layout: str = "half",
        head_axis: SupportsIndex | None = -2,
    ):
        self.rope = _plain_rope(head_dim, base, rotary_dim, layout)
        self.head_dim = int(head_dim)
        self.max_positions = positive_integer("max_positions", max_positions)
        self.base = float(base)
        self.dtype = result_dtype("dtype", dtype, np.float32)
        self.head_axis = plain_number(head_axis)

    @classmethod
    @public
    def from_rope(
        cls,
        rope: F.Rope,
        *,
        max_positions: SupportsIndex | None = None,
        head_axis: SupportsIndex | None = -2,
    ) -> "RotaryEmbedding":
        """Returns a module that rotates by a record.

        The module has no leaves. It takes heads of any width that holds the channels of
        the record.

        Args:
            rope: Record, as `attnax.interop.rope_from_hf` returns it. An element of
                `stack_ropes` is refused, since its arrays would be leaves to train.
            max_positions: End of the range `[0, max_positions)` of each coordinate of
                the positions. `None` admits every int32.
            head_axis: Axis of heads in `x`, as for the class.

        Returns:
            A `RotaryEmbedding`. Its `cos_sin_for_positions` returns float32, multiplied
            by the attention factor of the record.

        Raises:
            ValueError: If `rope` is not a `Rope`, or another argument breaks its rule.

        Example:
            >>> rope = Rope(default_inv_freq(8), axis_of_pair=(0, 0, 1, 1))
            >>> rotary = RotaryEmbedding.from_rope(rope, head_axis=-3)
            >>> grid = positions_from_grid((2, 3))
            >>> rotary(jnp.ones((4, 6, 8)), grid).shape
            (4, 6, 8)

        Reference:
            Su et al., RoFormer, 2021, section 3.2.2. https://arxiv.org/abs/2104.09864
        """
        check_rope("rope", rope, _NO_RECORD)
        if max_positions is not None:
            max_positions = positive_integer("max_positions", max_positions)
        return from_fields(
            cls,
            rope=rope,
            head_dim=None,
            max_positions=max_positions,
            base=None,
            dtype=np.dtype(np.float32),
            head_axis=plain_number(head_axis),
        )

    @public
    def __check_init__(self):
        check_head_axis(self.head_axis)

    @property
    def rotary_dim(self) -> int:
        """Number of features of a head that rotate."""
        return self.rope.rotary_dim

    @property
    def layout(self) -> str:
        """Layout of the pairs of features, see `attnax.functional.Rope`."""
        return self.rope.layout

    @public
    def cos_sin_for_positions(
        self,
        position_ids: Integer[Array | np.ndarray, "*positions"] | Sequence,
        *,
        out_dtype: DTypeLike | None = None,
    ) -> tuple[Float[Array, "... rotary_pairs"], Float[Array, "... rotary_pairs"]]:
        """Returns `(cos, sin)` in `out_dtype`, by default the `dtype` of the module.

        `position_ids` may have any shape. For a record of several axes, their last axis
        holds the coordinates.
        """
        dtype = self.dtype
        if out_dtype is not None:
            dtype = result_dtype("out_dtype", out_dtype, dtype)
        end = self.max_positions
        cos, sin = cos_sin_of_rope(
            self.rope, position_ids, argument="position_ids", end=end
        )
        return cos.astype(dtype), sin.astype(dtype)

    @public
    @jax.named_scope("attnax.nn.RotaryEmbedding")
    def __call__(
        self,
        x: Float[Array | np.ndarray, "*batch head_dim"],
        positions: Integer[Array | np.ndarray, "*positions"] | Sequence | None = None,
        *,
        inverse: bool = False,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch head_dim"]:
        """Rotates `x` by `positions`, by default `0 ... seq_len - 1`.

        `x` has the shape `(*batch, seq_len, num_heads, head_dim)`, or the one that
        `head_axis` says. `positions` have the shape `(*batch, seq_len)`, one for each
        token, and their batch axes broadcast. For a record of several axes, `positions`
        have a last axis of coordinates and no default. `inverse=True` rotates back.
        """
        x = float_array("x", x)
        if self.head_dim is not None and x.shape[-1:] != (self.head_dim,):
            raise ValueError(f"{x.shape=} must end in head_dim={self.head_dim}.")
        check_rotated(self.rope, x, self.head_axis)
        end = self.max_positions
        if positions is None:
            positions, end = self._default_positions(x)
        return rotate_heads(
            self.rope, x, positions, self.head_axis, inverse=inverse, end=end
        )

    def _default_positions(self, x):
        """`0 ... seq_len - 1`, and the `end` that is still to be checked, or `None`."""
        if self.rope.axis_of_pair is not None:
            raise ValueError(
                "positions must be given for a rope of several axes, with "
                f"{self.rope.num_axes} coordinates each; on text, the coordinates of a "
                "token are equal."
            )
        seq_len, end = x.shape[sequence_axis(self.head_axis)], self.max_positions
        too_long = end is not None and exceeds(seq_len, end)
        if too_long:
            raise ValueError(f"{seq_len=} must be at most max_positions={end}.")
        # `None` means that only the program knows the length.
        unchecked = end if too_long is None else None
        return jnp.arange(seq_len, dtype=jnp.int32), unchecked


def _plain_rope(head_dim, base, rotary_dim, layout):
    """Returns the record of a `RotaryEmbedding` of these settings."""
    if rotary_dim is None:
        rotary_dim = positive_multiple("head_dim", head_dim, 2)
    else:
        head_dim = positive_integer("head_dim", head_dim)
        rotary_dim = rotating_channels(rotary_dim, head_dim)
    choice("layout", layout, ORDERS)
    return F.Rope(exact_geometric(rotary_dim, base), layout)
