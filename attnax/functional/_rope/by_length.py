"""Ropes that depend on the length: each row of a batch has that of its own length."""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Integer, UInt32

from ..._checks import INT32_MAX, int32_in_range, integers, nan_where_invalid, type_of
from ..._public import public
from .record import Rope
from .stack import checked_ropes, common_settings


@jax.tree_util.register_static
@dataclass(frozen=True, init=False)
class RopesByLength:
    """Several ropes of one model, and the lengths of the rows that each is for.

    `rope_by_length` chooses among them for each row of a batch, by the length of that
    row alone. Like a `Rope`, the record is hashable and has no leaves.

    Args:
        ropes: Records that differ in `inv_freq` and `attention_factor` only, in the
            order of the lengths.
        max_lengths: The longest row that each rope is for, in tokens. They increase and
            are at most 2**31 - 1, which is no bound: positions are below it. A row has
            the first rope whose `max_lengths` is at least its length.

    Raises:
        ValueError: If there is no record, or two records differ in anything else; if
            `max_lengths` are not as many positive integers, or do not increase.

    Example:
        >>> ropes = [Rope(default_inv_freq(8, base)) for base in (1e4, 1e6)]
        >>> RopesByLength(ropes, (4096, 32_768)).max_lengths
        (4096, 32768)

    Reference:
        Ding et al., LongRoPE, 2024, section 3.3: one list of factors for short texts
        and one for long ones. https://arxiv.org/abs/2402.13753
    """

    ropes: tuple[Rope, ...]
    max_lengths: tuple[int, ...]

    @public
    def __init__(
        self,
        ropes: Iterable[Rope],
        max_lengths: Sequence[SupportsIndex] | Integer[np.ndarray, " num_ropes"],
    ):
        ropes = checked_ropes(ropes, Rope, "Ropes")
        common_settings(ropes)
        max_lengths = checked_lengths(max_lengths)
        if len(max_lengths) != len(ropes):
            raise ValueError(
                f"{max_lengths=} must hold one length for each of the {len(ropes)} "
                "ropes."
            )
        object.__setattr__(self, "ropes", tuple(ropes))
        object.__setattr__(self, "max_lengths", max_lengths)


class RopePerRow(NamedTuple):
    """A rope for each row of a batch, as `rope_by_length` chooses them.

    Attributes:
        words: Frequencies in turns per position, as two uint32 words each.
        attention_factor: One factor per row; NaN where no rope is for the row.
        settings: Record of the settings that all ropes share, with frequencies of 0 and
            a factor of 1.
    """

    words: UInt32[Array, "*batch 2 rotary_pairs"]
    attention_factor: Float[Array, "*batch"]
    settings: Rope


@public
def rope_by_length(
    ropes: RopesByLength,
    lengths: Integer[Array | np.ndarray, "*batch"] | Sequence | SupportsIndex,
) -> RopePerRow:
    """A rope for each row of a batch, by the length of that row alone.

    `rotary_cos_sin`, `apply_rotary`, `rotate` and `rerotate` take the result in place
    of a `Rope`. A row then has the bits that it has in any other batch, and alone.

    Keys that were rotated by the rope of one length do not fit queries rotated by that
    of another. While a row grows in a cache, pass the length that it will have at the
    end, in every step.

    Args:
        ropes: The ropes and their lengths.
        lengths: Number of tokens of each row, without padding, `(*batch)`; traced or
            not. From 0 to the last of `max_lengths`.

    Returns:
        One rope per row. Rows of a traced length out of range have cos and sin of NaN.

    Raises:
        ValueError: If `ropes` are not a `RopesByLength`; if `lengths` are not integers,
            or a known one is out of range.

    Example:
        >>> ropes = [Rope(default_inv_freq(8, base)) for base in (1e4, 1e6)]
        >>> rope = rope_by_length(RopesByLength(ropes, (5, 9)), jnp.array([4, 6]))
        >>> rotate(rope, jnp.ones((2, 6, 3, 8)), jnp.arange(6)).shape
        (2, 6, 3, 8)

    Reference:
        Ding et al., LongRoPE, 2024, section 3.3. https://arxiv.org/abs/2402.13753
    """
    if not isinstance(ropes, RopesByLength):
        raise ValueError(f"ropes is {type_of(ropes)}, but must be a RopesByLength.")
    *bounds, longest = ropes.max_lengths
    hint = f" for max_lengths={ropes.max_lengths}"
    lengths, valid = int32_in_range("lengths", lengths, 0, longest + 1, hint)
    first, *others = (_numbers(rope, lengths.ndim) for rope in ropes.ropes)
    # A sum of differences, which wrap around, and no gather: it lies where the lengths
    # lie, on every mesh.
    chosen = jnp.zeros_like(lengths, jnp.uint32)[..., None] + first
    steps = itertools.pairwise((first, *others))
    for bound, (one, other) in zip(bounds, steps, strict=True):
        chosen += (lengths > bound).astype(jnp.uint32)[..., None] * (other - one)
    settings = common_settings(ropes.ropes)
    factor = lax.bitcast_convert_type(chosen[..., -1], jnp.float32)
    return RopePerRow(
        words=chosen[..., :-1].reshape(*lengths.shape, 2, settings.rotary_pairs),
        attention_factor=nan_where_invalid(valid, factor),
        settings=settings,
    )


def checked_lengths(max_lengths) -> tuple[int, ...]:
    """Lengths as ints, which increase and lie in the range of positions."""
    max_lengths = integers("max_lengths", max_lengths)
    pairs = itertools.pairwise((0, *max_lengths, INT32_MAX + 1))
    if not max_lengths or any(one >= other for one, other in pairs):
        raise ValueError(
            f"{max_lengths=} must be one length or more, increase, and lie between 1 "
            "and 2**31 - 1."
        )
    return max_lengths


def _numbers(rope, rank):
    """The words of a rope and the bits of its factor, with axes of size 1 in front."""
    bits = np.float32(rope.attention_factor).view(np.uint32)
    return np.append(rope._words, bits).reshape((1,) * rank + (-1,))
