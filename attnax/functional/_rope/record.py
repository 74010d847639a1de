"""The record of a rotary embedding: everything that a model fixes about it."""

import dataclasses
import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt32

from ..._public import public
from .._angles.phase import phase_words
from .factors import check_attention_factor

_SLICES = ("leading", "trailing")
LAYOUTS = ("half", "interleaved", "interleaved_to_half")


@jax.tree_util.register_static
@dataclass(frozen=True, init=False, repr=False)
class Rope:
    """A rotary embedding as data: what turns, how fast, and in which channels.

    Nearly every rotary embedding of a released model is one of these; `rotary_cos_sin`,
    `apply_rotary` and `rotate` read it. It is hashable and a static node of pytrees:
    it has no leaves, so `jit`, gradients, optimizers, casts and checkpoints pass it by,
    as a field of an Equinox module too.

    Args:
        inv_freq: Radians per position, one number per pair, float64 as what
            `default_inv_freq` and the scaled methods return. Negative ones turn the
            other way (nanochat); 0 stands still.
        layout: Which two channels form pair `i` of `P`: `"half"` (`i`, `i + P`),
            `"interleaved"` (`2 i`, `2 i + 1`), or `"interleaved_to_half"`, which reads
            the pairs interleaved and puts them out in halves (DeepSeek-V3 as Hugging
            Face runs it).
        axis_of_pair: Which axis of the position drives each pair. `None` is one axis;
            with a tuple, positions carry a last axis of coordinates.
        num_axes: Coordinates of a position. `None` is as many as `axis_of_pair` names.
        num_blocks: The rotating channels are so many equal blocks, and `"half"` pairs
            channels within each of them (Gemma 4 vision).
        rotary_start: Where in the head the rotating channels stand: `"leading"`,
            `"trailing"` (DeepSeek: the last ones of whatever width `x` has), or the
            index of the first one, 0 being `"leading"`. The other channels pass.
        attention_factor: Cos and sin are multiplied by it. From 1e-15 to 1e15, so that
            float32 holds its inverse square.

    Raises:
        ValueError: If a setting is out of its range or contradicts another.

    Example:
        >>> Rope(default_inv_freq(64, 500_000.0), attention_factor=1.25)
        Rope(32 pairs from 1 to 3.01e-06, layout='half', attention_factor=1.25)

    Reference:
        Su et al., RoFormer, 2021, section 3.2.2. https://arxiv.org/abs/2104.09864
    """

    inv_freq: tuple[float, ...]
    layout: str
    axis_of_pair: tuple[int, ...] | None
    num_axes: int
    num_blocks: int
    rotary_start: str | int
    attention_factor: float

    @public
    def __init__(
        self,
        inv_freq: Sequence[float] | Float[np.ndarray, " rotary_pairs"],
        layout: str = "half",
        *,
        axis_of_pair: Sequence[int] | None = None,
        num_axes: int | None = None,
        num_blocks: int = 1,
        rotary_start: str | int = "leading",
        attention_factor: float = 1.0,
    ):
        axes = axis_of_pair
        if axes is not None:
            axes = tuple(_integer("axis_of_pair", axis) for axis in axes)
        if num_axes is None:
            num_axes = 1 if axes is None else max(axes, default=0) + 1
        named = isinstance(rotary_start, str) and rotary_start in _SLICES
        if not named:
            place = "'leading', 'trailing' or the index of the first rotating channel"
            # The first channel is where the leading ones begin.
            rotary_start = _integer("rotary_start", rotary_start, place) or "leading"
        check_attention_factor(attention_factor)
        fields = {
            "inv_freq": _frequencies(inv_freq),
            "layout": layout,
            "axis_of_pair": axes,
            "num_axes": _integer("num_axes", num_axes),
            "num_blocks": _integer("num_blocks", num_blocks),
            "rotary_start": rotary_start,
            "attention_factor": float(attention_factor),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        _check(self)

    @property
    def rotary_pairs(self) -> int:
        """Number of pairs."""
        return len(self.inv_freq)

    @property
    def rotary_dim(self) -> int:
        """Number of channels that rotate."""
        return 2 * self.rotary_pairs

    def _first_channel(self, head_dim: int) -> int:
        """Index of the first rotating channel of a head of `head_dim`."""
        if self.rotary_start == "trailing":
            return head_dim - self.rotary_dim
        return 0 if self.rotary_start == "leading" else int(self.rotary_start)

    @property
    def _order_in(self) -> str:
        """The order of pairs that a rotation takes, `"half"` or `"interleaved"`."""
        return self.layout.partition("_to_")[0]

    @property
    def _order_out(self) -> str:
        """The order of pairs that a rotation puts out."""
        return self.layout.rpartition("_to_")[2]

    def __repr__(self):
        first, last = self.inv_freq[0], self.inv_freq[-1]
        parts = [f"{self.rotary_pairs} pairs from {first:.3g} to {last:.3g}"]
        parts.append(f"layout={self.layout!r}")
        if self.axis_of_pair is not None:
            runs = (
                (axis, len(list(run)))
                for axis, run in itertools.groupby(self.axis_of_pair)
            )
            axes = " ".join(f"{axis}x{length}" for axis, length in runs)
            parts.append(f"axes=({axes}) of {self.num_axes}")
        defaults = {"num_blocks": 1, "rotary_start": "leading", "attention_factor": 1.0}
        for name, default in defaults.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)!r}")
        return f"Rope({', '.join(parts)})"

    def __pdoc__(self, **options):
        """As Equinox prints it, in a module: on one line too."""
        from wadler_lindig import TextDoc  # the library that asks

        return TextDoc(repr(self))


class StackedRopes(NamedTuple):
    """Several ropes as arrays, to scan over: see `stack_ropes`.

    Attributes:
        words: Frequencies in turns, as two words each.
        attention_factor: One per rope.
        settings: What the ropes have in common; its frequencies are 0.
    """

    words: UInt32[Array, "*ropes 2 rotary_pairs"]
    attention_factor: Float[Array, "*ropes"]
    settings: Rope


@public
def stack_ropes(ropes: Sequence[Rope | None]) -> StackedRopes:
    """Several ropes as arrays with a leading axis, for `scan` or `vmap` over layers.

    One element of it, as `scan` hands it to a step, goes where a `Rope` goes: into
    `rotary_cos_sin`, `apply_rotary`, `rotate` and `rerotate`. Cos and sin are then made
    in each step. Where few ropes serve many layers, make cos and sin of each once
    outside and select them by layer.

    `None`, which `ropes_from_hf` gives for a layer without rotation, becomes a rope
    that stands still: its cos is 1 and its sin 0 at every position.

    Args:
        ropes: Records that differ in `inv_freq` and `attention_factor` only, and `None`
            for what stands still. At least one record.

    Returns:
        A pytree of the words and the factors. They are exact, and not for training:
        keep them out of what an optimizer or a cast sees.

    Raises:
        ValueError: If there is no record, or two differ in anything else.

    Example:
        >>> ropes = [Rope(default_inv_freq(8, base)) for base in (1e4, 1e6)]
        >>> stack_ropes([*ropes, None]).words.shape
        (3, 2, 4)

    Reference:
        Gemma 3, 2025, section 2: local and global layers of different bases.
        https://arxiv.org/abs/2503.19786
    """
    ropes = list(ropes)
    for rope in ropes:
        if not isinstance(rope, Rope | None):
            raise ValueError(
                f"ropes hold a {type(rope).__name__}, but must hold "
                "nothing but Ropes and None."
            )
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
    # With frequencies of 0 and a factor of 1, `common` stands still.
    ropes = [common if rope is None else rope for rope in ropes]
    # Once for each rope: many layers share few, and words take long to make.
    words = {rope: phase_words(np.array(rope.inv_freq)) for rope in {*ropes}}
    factors = np.array([rope.attention_factor for rope in ropes], np.float32)
    return StackedRopes(
        words=jnp.asarray(np.stack([words[rope] for rope in ropes])),
        attention_factor=jnp.asarray(factors),
        settings=common,
    )


def _without_frequencies(rope):
    zeros = (0.0,) * rope.rotary_pairs
    return dataclasses.replace(rope, inv_freq=zeros, attention_factor=1.0)


def _frequencies(inv_freq):
    """Returns `inv_freq` as floats; raises if it may have been rounded to float32."""
    if isinstance(inv_freq, np.ndarray | jax.Array):
        exact = inv_freq.dtype == np.float64 and inv_freq.ndim == 1
        kind = f"{type(inv_freq).__name__} of {inv_freq.dtype} with {inv_freq.shape=}"
    else:
        exact = isinstance(inv_freq, Sequence) and all(
            isinstance(f, float | int) and not isinstance(f, bool) for f in inv_freq
        )
        kind = f"{type(inv_freq).__name__}, {inv_freq!r}"
    if not exact:
        raise ValueError(
            f"inv_freq is a {kind}, but must be a float64 NumPy vector or Python "
            "numbers."
        )
    return tuple(float(frequency) for frequency in inv_freq)


def _integer(name, value, kind="an integer"):
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise ValueError(f"{name}={value!r} must be {kind}.") from None


def _check(rope):
    pairs = rope.rotary_pairs
    if pairs == 0 or not all(abs(f) < 2.0**64 for f in rope.inv_freq):
        raise ValueError(
            f"inv_freq={rope.inv_freq} must hold at least one frequency, each "
            "below 2**64 in magnitude."
        )
    if rope.layout not in LAYOUTS:
        raise ValueError(f"layout={rope.layout!r} must be one of {LAYOUTS}.")
    if rope.axis_of_pair is None:
        if rope.num_axes != 1:
            raise ValueError(
                f"num_axes={rope.num_axes} must come with axis_of_pair, which "
                "says what each axis drives."
            )
    elif len(rope.axis_of_pair) != pairs:
        raise ValueError(
            f"{len(rope.axis_of_pair)=} must equal the {pairs} frequencies."
        )
    elif min(rope.axis_of_pair) < 0 or max(rope.axis_of_pair) >= rope.num_axes:
        raise ValueError(
            f"axis_of_pair={rope.axis_of_pair} must lie in [0, {rope.num_axes})."
        )
    if rope.num_blocks < 1 or pairs % rope.num_blocks != 0:
        raise ValueError(
            f"num_blocks={rope.num_blocks} must be positive and divide the "
            f"{pairs} pairs."
        )
    if rope.num_blocks > 1 and rope.layout != "half":
        raise ValueError(
            f"num_blocks={rope.num_blocks} must come with layout='half', not "
            f"{rope.layout!r}."
        )
    if isinstance(rope.rotary_start, int) and rope.rotary_start < 0:
        raise ValueError(
            f"rotary_start={rope.rotary_start} must be 'leading', 'trailing' or "
            "the index of the first rotating channel."
        )
