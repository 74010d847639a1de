"""The record of a rotary embedding: everything that a model fixes about it."""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import SupportsFloat, SupportsIndex

import jax
import numpy as np
from jaxtyping import Float, Integer

from ..._checks import choice, is_integer, positive_integer, type_of
from ..._public import public
from .._angles.axes import checked_axes
from .._angles.frequencies import exact_frequencies
from .._angles.phase import phase_words
from .factors import static_attention_factor
from .kernel import ORDERS

LAYOUTS = (*ORDERS, "interleaved_to_half")


@jax.tree_util.register_static
@dataclass(frozen=True, init=False, repr=False)
class Rope:
    """A rotary embedding as data: which channels turn, how fast, by which coordinate.

    Nearly every rotary embedding of a released model is a `Rope`. `rotary_cos_sin`,
    `apply_rotary`, `rotate` and `rerotate` take it. A `Rope` is hashable and a static
    node of pytrees: it has no leaves, so `jit`, gradients, optimizers, casts and
    checkpoints leave it alone, also as a field of an Equinox module.

    Positions of several axes hold their coordinates in the order of
    `positions_from_grid`: axis 0 is the row and axis 1 the column of an image; axis 0
    is the time, axis 1 the row and axis 2 the column of a video. `axis_of_pair` and the
    `repr` of a `Rope` name the axes by these numbers.

    Args:
        inv_freq: Radians per position, one number per pair, in float64: the result of
            `default_inv_freq` or of a scaled method. A pair with a negative frequency
            turns the other way (nanochat), and one with 0 stands still.
        layout: The two channels of pair `i` of `P`: `i` and `i + P` for `"half"`, `2 i`
            and `2 i + 1` for `"interleaved"`. `"interleaved_to_half"` reads the pairs
            interleaved and returns them in halves (DeepSeek-V3 in Hugging Face
            transformers).
        axis_of_pair: The axis of the position that drives each pair. `None` means that
            a position is one number. With a tuple, positions have a last axis of
            `num_axes` coordinates.
        num_axes: Number of coordinates of a position. `None` stands for as many as
            `axis_of_pair` names.
        num_blocks: Number of equal blocks of the rotating channels within which
            `"half"` pairs channels (Gemma 4 vision has 2).
        rotary_start: The place of the rotating channels in the head: `"leading"`,
            `"trailing"` (DeepSeek: the last channels of `x`, however wide it is), or
            the index of the first one. 0 is `"leading"`. The other channels pass.
        attention_factor: Factor on cos and sin, from 1e-15 to 1e15, so that float32
            holds its inverse square.

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
        inv_freq: Sequence[SupportsFloat] | Float[np.ndarray, " rotary_pairs"],
        layout: str = "half",
        *,
        axis_of_pair: Sequence[SupportsIndex]
        | Integer[np.ndarray, " rotary_pairs"]
        | None = None,
        num_axes: SupportsIndex | None = None,
        num_blocks: SupportsIndex = 1,
        rotary_start: str | SupportsIndex = "leading",
        attention_factor: SupportsFloat = 1.0,
    ):
        exact = exact_frequencies(inv_freq)
        axes, num_axes = checked_axes(axis_of_pair, num_axes, exact.size)
        choice("layout", layout, LAYOUTS)
        fields = {
            "inv_freq": tuple(exact.tolist()),
            "layout": layout,
            "axis_of_pair": axes,
            "num_axes": num_axes,
            "num_blocks": _checked_blocks(num_blocks, exact.size, layout),
            "rotary_start": _checked_start(rotary_start),
            "attention_factor": static_attention_factor(attention_factor),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

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

    def _fits(self, head_dim: int) -> bool:
        """Whether a head of `head_dim` holds every rotating channel."""
        return 0 <= self._first_channel(head_dim) <= head_dim - self.rotary_dim

    @property
    def _order_in(self) -> str:
        """The order of pairs that a rotation takes, `"half"` or `"interleaved"`."""
        return self.layout.partition("_to_")[0]

    @property
    def _order_out(self) -> str:
        """The order of pairs that a rotation returns."""
        return self.layout.rpartition("_to_")[2]

    @functools.cached_property
    def _words(self) -> np.ndarray:
        """The frequencies as `phase_words` makes them, once for each record."""
        return phase_words(np.array(self.inv_freq))

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
        """The `repr` on one line, for Equinox, which prints modules."""
        from wadler_lindig import TextDoc  # the library that asks for it

        return TextDoc(repr(self))


def check_rope(argument, rope, hint="") -> None:
    """A `ValueError` unless a rope is a record; `hint` is the way out."""
    if not isinstance(rope, Rope):
        raise ValueError(f"{argument} is {type_of(rope)}, but must be a Rope{hint}.")


def _checked_blocks(num_blocks, pairs, layout):
    num_blocks = positive_integer("num_blocks", num_blocks)
    if pairs % num_blocks != 0:
        raise ValueError(f"{num_blocks=} must divide the {pairs} pairs.")
    if num_blocks > 1 and layout != "half":
        raise ValueError(f"{num_blocks=} must come with layout='half', not {layout!r}.")
    return num_blocks


def _checked_start(rotary_start) -> str | int:
    if isinstance(rotary_start, str):
        if rotary_start in ("leading", "trailing"):
            return rotary_start
    elif is_integer(rotary_start) and rotary_start >= 0:
        # Channel 0 is where the leading ones begin.
        return int(rotary_start) or "leading"
    raise ValueError(
        f"{rotary_start=} must be 'leading', 'trailing' or the index of the first "
        "rotating channel."
    )
