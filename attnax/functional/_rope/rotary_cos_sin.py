"""Cos and sin of positions by a `Rope`."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from ..._checks import (
    array_of_several,
    broadcast_batches,
    int32_in_range,
    integer_array,
    nan_where_invalid,
    positions_array,
)
from ..._public import public
from .._angles.cos_sin import cos_sin_of_products, cos_sin_of_words
from .by_length import RopePerRow
from .factors import times_attention_factor
from .forms import batch_of, rope_settings
from .record import Rope
from .rotation_checks import shape_of_positions
from .stack import StackedRopes

_FRACTIONAL = (
    "; for fractional positions use rotary_cos_sin with numerics='float32' and "
    "apply_rotary"
)


@public
def rotary_cos_sin(
    rope: Rope | StackedRopes | RopePerRow,
    positions: Real[Array | np.ndarray, "*positions"] | Sequence,
    *,
    numerics: str = "exact",
) -> tuple[Float[Array, "... rotary_pairs"], Float[Array, "... rotary_pairs"]]:
    """Takes a `Rope` record: cos and sin of `positions`, times the attention factor.

    Call it once, above all layers, and pass the result to `apply_rotary` in each.
    `rope_cos_sin` takes frequencies in place of a record.

    Args:
        rope: A record, one element of `stack_ropes`, or the result of `rope_by_length`,
            whose batch axes broadcast against those of `positions`.
        positions: Positions of shape `(*batch, seq_len)`. A rope with `axis_of_pair`
            takes a last axis of `num_axes` coordinates, in the order that `Rope`
            describes; on text, all coordinates of a position are the same number.
        numerics: `"exact"` for integer positions, `"float32"` for fractional ones; see
            `rope_cos_sin`. Ropes other than records take `"exact"` only.

    Returns:
        `(cos, sin)` in float32, each `(*batch, seq_len, rotary_pairs)`. Traced integers
        outside int32 give NaN.

    Raises:
        ValueError: If `positions` have another number of coordinates, or for an error
            of `rope_cos_sin`.

    Example:
        >>> cos, sin = rotary_cos_sin(Rope(default_inv_freq(8)), jnp.arange(5))
        >>> cos.shape
        (5, 4)

    Reference:
        Su et al., RoFormer, 2021, eq. 15. https://arxiv.org/abs/2104.09864
    """
    positions = _checked_positions(rope, positions, "positions")
    return _cos_sin(rope, positions, "positions", numerics)


def cos_sin_of_rope(rope, positions, *, argument="positions", end=None):
    """`rotary_cos_sin` of integer positions, which must lie in `[0, end)` if given."""
    positions = _checked_positions(rope, positions, argument)
    hint = _FRACTIONAL if isinstance(rope, Rope) else ""  # stacked ropes are exact
    positions = integer_array(argument, positions, hint)
    valid = None
    if end is not None:
        positions, valid = int32_in_range(argument, positions, 0, end)
        if valid is not None and rope_settings(rope).axis_of_pair is not None:
            valid = valid.all(-1)
    cos, sin = _cos_sin(rope, positions, argument, "exact")
    return nan_where_invalid(valid, cos), nan_where_invalid(valid, sin)


def _checked_positions(rope, positions, argument):
    """An array of positions, with as many coordinates as the rope has axes."""
    settings = rope_settings(rope)
    positions = array_of_several(argument, positions)
    shape_of_positions(settings, positions, argument)
    return positions


def _cos_sin(rope, positions, argument, numerics):
    if not isinstance(rope, Rope):
        if numerics != "exact":
            kind = (
                "stacked ropes" if isinstance(rope, StackedRopes) else "ropes of rows"
            )
            raise ValueError(f"{numerics=} must be 'exact' for {kind}.")
        positions, words, factor = _of_equal_rank(rope, positions, argument)
        positions, valid = int32_in_range(argument, positions)
        cos, sin = cos_sin_of_words(positions, valid, words, rope.settings.axis_of_pair)
        return cos * factor, sin * factor
    positions, valid = positions_array(argument, positions, numerics)
    axes = rope.axis_of_pair
    if numerics == "exact":
        made = cos_sin_of_words(positions, valid, rope._words, axes)
    else:
        made = cos_sin_of_products(positions, valid, np.array(rope.inv_freq), axes)
    return times_attention_factor(made, rope.attention_factor)


def _of_equal_rank(rope, positions, argument):
    """Positions, words and factors, whose batch axes broadcast without promotion."""
    rows, words, factor = batch_of(rope), rope.words, rope.attention_factor
    if not isinstance(rope, RopePerRow):
        return positions, words, factor
    axes = 1 if rope.settings.axis_of_pair is None else 2  # of positions, after rows
    broadcast_batches({"rope": rows, argument: positions.shape[:-axes]})
    rank = max(len(rows), positions.ndim - axes)
    ones = (1,) * (rank + axes - positions.ndim)
    positions = positions.reshape(*ones, *positions.shape)
    ones = (1,) * (rank - len(rows))
    words = jnp.moveaxis(words, -2, 0)
    words = words.reshape(2, *ones, *rows, 1, words.shape[-1])
    return positions, words, factor.reshape(*ones, *rows, 1, 1)
