"""The continuous position bias of Swin v2: a small network of log coordinates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from ...._checks import (
    check_params,
    choice,
    grid_sizes,
    integer,
    positive_integer,
)
from ...._dtypes import compute_dtype
from ...._public import public
from ..core.parameters import check_shapes, draw_normal
from ..core.record import PositionBias, set_fields
from .by_difference import matrix_by_difference, score_by_difference
from .log_coordinates import FORMS, log_coordinates, pretrained_sides


class LogCoordinateBiasParams(NamedTuple):
    """Parameters of a bias of log coordinates: a network with one hidden layer.

    Attributes:
        hidden_weight: Weight from the two coordinates to the hidden layer.
        hidden_bias: Bias of the hidden layer.
        weight: Weight from the hidden layer to the heads.
        bias: Bias of the heads in the form `"cr"`, and `None` in the form `"swin_v2"`.
    """

    hidden_weight: Float[Array, "2 hidden_size"]
    hidden_bias: Float[Array, " hidden_size"]
    weight: Float[Array, "hidden_size num_heads"]
    bias: Float[Array, " num_heads"] | None = None


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class LogCoordinateBias(PositionBias):
    """A network of the log coordinates of differences of places, for a window.

    The form `"swin_v2"` is `16 * sigmoid(relu(x @ W1 + b1) @ W2)` of the coordinates
    `x` of `log_coordinates`, and the form `"cr"` of timm `relu(x @ W1 + b1) @ W2 + b2`.
    The network runs once for each difference of places, and not for each pair.

    Positions are the numbers of the tokens: the prefix tokens first, then the places of
    the window row by row. Biases of prefix tokens are zero. The bias is added to the
    scaled scores, which in Swin v2 are scaled cosines.

    Another window needs no other parameters: keep the window of the first training as
    `pretrained_window`.

    Args:
        num_heads: Number of heads. Positive.
        window: `(rows, columns)`, positive integers.
        hidden_size: Width of the hidden layer. Positive; 512 in Swin v2.
        pretrained_window: See `log_coordinates`. Where a config says 0, it is `None`.
        num_prefix_tokens: Number of tokens in front of the window. Not negative.
        form: `"swin_v2"` or `"cr"`.

    Raises:
        ValueError: If a setting is out of its range, or a pretrained window is given
            with the form `"cr"`.

    Example:
        >>> bias = LogCoordinateBias(3, (16, 16), pretrained_window=(8, 8))
        >>> bias.hidden_size, bias.form
        (512, 'swin_v2')

    Reference:
        Liu et al., Swin Transformer V2, 2022, eq. 3 and 4.
        https://arxiv.org/abs/2111.09883
    """

    num_heads: int
    window: tuple[int, ...]
    hidden_size: int
    pretrained_window: tuple[int, ...] | None
    num_prefix_tokens: int
    form: str

    @public
    def __init__(
        self,
        num_heads: SupportsIndex,
        window: Sequence[SupportsIndex],
        *,
        hidden_size: SupportsIndex = 512,
        pretrained_window: Sequence[SupportsIndex] | None = None,
        num_prefix_tokens: SupportsIndex = 0,
        form: str = "swin_v2",
    ):
        window = grid_sizes("window", window)
        sides = pretrained_sides(pretrained_window, window, form)
        set_fields(
            self,
            num_heads=positive_integer("num_heads", num_heads),
            window=window,
            hidden_size=positive_integer("hidden_size", hidden_size),
            pretrained_window=None if pretrained_window is None else sides,
            num_prefix_tokens=integer("num_prefix_tokens", num_prefix_tokens, 0),
            form=choice("form", form, FORMS),
        )

    @property
    def num_tokens(self) -> int:
        """Number of tokens, prefix tokens included."""
        return self.num_prefix_tokens + math.prod(self.window)

    @property
    def _bounds(self):
        return 0, self.num_tokens

    @property
    def _shapes(self):
        """The shape of each field of the parameters, or `None`."""
        return {
            "hidden_weight": (2, self.hidden_size),
            "hidden_bias": (self.hidden_size,),
            "weight": (self.hidden_size, self.num_heads),
            "bias": (self.num_heads,) if self.form == "cr" else None,
        }

    def _init(self, key, init_std, dtype):
        hidden_key, key = jax.random.split(key)
        hidden = self._shapes["hidden_weight"]
        return LogCoordinateBiasParams(
            hidden_weight=draw_normal(hidden_key, hidden, init_std, dtype),
            hidden_bias=jnp.zeros(self.hidden_size, dtype),
            weight=draw_normal(key, self._shapes["weight"], init_std, dtype),
            bias=jnp.zeros(self.num_heads, dtype) if self.form == "cr" else None,
        )

    def _check(self, params, argument="params"):
        check_params(params, LogCoordinateBiasParams, argument)
        check_shapes(params, self._shapes, argument)

    def _matrix(self, params, pairs, content, dtype):
        table = self._table(params, content)
        return matrix_by_difference(
            table, self.window, self.num_prefix_tokens, pairs, dtype
        )

    def _score(self, params, pairs, content):
        table = self._table(params, content)
        return score_by_difference(table, self.window, self.num_prefix_tokens, pairs)

    def _table(self, params, content):
        """The biases of every difference of places, `(num_rows, num_heads)`."""
        arrays = [a for a in params if a is not None]
        wide = compute_dtype(*(a.dtype for a in arrays))
        hidden_weight, hidden_bias, weight, *bias = (
            jnp.asarray(a, wide) for a in arrays
        )
        x = log_coordinates(
            self.window, pretrained_window=self.pretrained_window, form=self.form
        )
        # The products are small, and a bias of 16 would show bits that they lose.
        precision = content.precision
        if precision is None:
            precision = lax.Precision.HIGHEST
        x = jnp.asarray(x.reshape(-1, 2), wide)
        x = jnp.dot(x, hidden_weight, precision=precision) + hidden_bias[None]
        x = jnp.dot(jax.nn.relu(x), weight, precision=precision)
        if self.form == "cr":
            table = x + bias[0][None]
        else:
            table = 16 * jax.nn.sigmoid(x)
        rows = 3 if self.num_prefix_tokens else 0
        return jnp.pad(table, ((0, rows), (0, 0)))
