"""Several ropes as arrays, to scan over."""

import dataclasses
from collections.abc import Iterable, Set
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..._checks import type_of
from ..._public import public
from .record import Rope


class StackedRopes(NamedTuple):
    """Several ropes as arrays, to scan over: see `stack_ropes`.

    Attributes:
        words: Frequencies in turns per position, as two uint32 words each.
        attention_factor: One factor per rope.
        settings: Record of the settings that all ropes share, with frequencies of 0 and
            a factor of 1.
    """

    words: UInt32[Array, "*ropes 2 rotary_pairs"]
    attention_factor: Float[Array, "*ropes"]
    settings: Rope


@public
def stack_ropes(ropes: Iterable[Rope | None]) -> StackedRopes:
    """Several ropes as arrays with a leading axis, for `scan` or `vmap` over layers.

    `scan` hands one element of the stack to each step, and every function that takes a
    `Rope` takes that element: `rotary_cos_sin`, `apply_rotary`, `rotate` and
    `rerotate`. Cos and sin are then made in each step. Where few ropes serve many
    layers, make cos and sin of each rope once outside the scan and select them by
    layer.

    `None`, which `ropes_from_hf` returns for a layer without rotation, becomes a rope
    that stands still: its cos is 1 and its sin is 0 at every position.

    Args:
        ropes: Records that differ in `inv_freq` and `attention_factor` only, and `None`
            for layers without rotation. At least one record.

    Returns:
        A pytree with the frequencies, as fixed-point numbers of two words, and the
        attention factors. They are not meant for training, and a cast changes them:
        keep them away from optimizers and casts.

    Raises:
        ValueError: If there is no record, or two records differ in anything else.

    Example:
        >>> ropes = [Rope(default_inv_freq(8, base)) for base in (1e4, 1e6)]
        >>> stack_ropes([*ropes, None]).words.shape
        (3, 2, 4)

    Reference:
        Gemma 3, 2025, section 2: local and global layers of different bases.
        https://arxiv.org/abs/2503.19786
    """
    ropes = checked_ropes(ropes, Rope | None, "Ropes and None")
    common = common_settings(ropes)
    # With frequencies of 0 and a factor of 1, `common` stands still.
    ropes = [common if rope is None else rope for rope in ropes]
    # Made once for each rope: many layers share few ropes, and words take long to make.
    words = {rope: rope._words for rope in {*ropes}}
    factors = np.array([rope.attention_factor for rope in ropes], np.float32)
    return StackedRopes(
        words=jnp.asarray(np.stack([words[rope] for rope in ropes])),
        attention_factor=jnp.asarray(factors),
        settings=common,
    )


def checked_ropes(ropes, kinds, in_words):
    """A list of ropes of these kinds, which have a name in words."""
    is_ordered = isinstance(ropes, Iterable) and not isinstance(ropes, Set)
    if not is_ordered or getattr(ropes, "ndim", 1) == 0:
        raise ValueError(f"ropes is {type_of(ropes)}, but must be a sequence of Ropes.")
    ropes = list(ropes)
    for rope in ropes:
        if not isinstance(rope, kinds):
            raise ValueError(
                f"ropes hold {type_of(rope)}, but must hold nothing but {in_words}."
            )
    return ropes


def common_settings(ropes):
    """The settings of the records, with frequencies of 0 and a factor of 1."""
    records = [rope for rope in dict.fromkeys(ropes) if rope is not None]
    if not records:
        raise ValueError(
            f"{ropes=} must hold at least one Rope, which says what "
            "channels there are to turn."
        )
    common = _without_frequencies(records[0])
    for rope in records:
        if _without_frequencies(rope) != common:
            raise ValueError(
                f"{rope} must differ from {records[0]} in inv_freq and "
                "attention_factor only; make cos and sin of each outside the scan."
            )
    return common


def _without_frequencies(rope):
    zeros = (0.0,) * rope.rotary_pairs
    return dataclasses.replace(rope, inv_freq=zeros, attention_factor=1.0)
