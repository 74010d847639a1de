"""The record of how a model resamples grids of positions and patches."""

from dataclasses import dataclass
from fractions import Fraction
from typing import SupportsFloat

import jax
import numpy as np

from ..._checks import check_flags, choice, is_number
from ..._public import public


@jax.tree_util.register_static
@dataclass(frozen=True)
class Resampling:
    """How a model resizes a grid of positions or a patch, as one setting.

    The conventions are those of `torch.nn.functional.interpolate`.

    Row `i` of the new grid samples the old one at `(i + 1/2) old / (new + offset) -
    1/2`, or with `align_corners` at `i (old - 1) / (new - 1)`; columns likewise.
    `attnax.interop.resampling` returns the record of a released model. The record is
    hashable and has no leaves as a pytree, so `jit`, gradients and optimizers take it
    as a constant.

    Args:
        method: `"bilinear"` or `"bicubic"`. The cubic kernel is that of PyTorch: its
            slope is -0.75 without antialiasing and -0.5 with it.
        antialias: Whether the kernel widens where the grid shrinks, with weights that
            are scaled to sum to 1 at the edges. Without antialiasing, rows beyond an
            edge repeat the row at the edge.
        align_corners: Whether the corners of the new grid lie on those of the old one.
            It excludes `antialias` and an `offset`.
        offset: Number that is added to the new size before the scale is computed, in
            [0, 1) with at most three decimals. The first DINOv2 code adds 0.1.

    Raises:
        ValueError: If `method` is unknown, a switch is not a bool, `offset` is out of
            range, or `align_corners` comes with `antialias` or an `offset`.

    Example:
        >>> Resampling("bicubic", antialias=True)
        Resampling(method='bicubic', antialias=True, align_corners=False, offset=0.0)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.2.
        https://arxiv.org/abs/2010.11929; Keys, 1981, eq. 8, for the cubic kernel.
    """

    method: str
    antialias: bool | np.bool_
    align_corners: bool | np.bool_ = False
    offset: SupportsFloat = 0.0

    @public
    def __post_init__(self):
        choice("method", self.method, ("bilinear", "bicubic"))
        check_flags(antialias=self.antialias, align_corners=self.align_corners)
        offset = _as_fraction(self.offset)
        if self.align_corners and self.antialias:
            raise ValueError("align_corners=True must come with antialias=False.")
        if self.align_corners and offset:
            raise ValueError(
                f"offset={self.offset!r} must be 0 with align_corners=True."
            )
        # Python's own types, so that equal records are written alike.
        for name, value in (
            ("antialias", bool(self.antialias)),
            ("align_corners", bool(self.align_corners)),
            ("offset", float(offset)),
        ):
            object.__setattr__(self, name, value)


def check_resampling(resampling, reason="which says how grids are resized") -> None:
    """Raises unless `resampling` is a `Resampling`; `reason` says what it is for."""
    if not isinstance(resampling, Resampling):
        raise ValueError(
            f"{resampling=} must be an attnax.functional.Resampling, {reason}; "
            'attnax.interop.resampling("vit") is that of ViT.'
        )


def exact_offset(resampling) -> Fraction:
    """Returns the offset as the decimal number that it stands for: 1/10 for 0.1."""
    return _as_fraction(resampling.offset)


def _as_fraction(offset):
    # NumPy prints the shortest digits of a float32: 0.1, not its float64 value.
    exact = Fraction(str(np.asarray(offset)[()])) if is_number(offset) else None
    if exact is None or not 0 <= exact < 1 or exact.denominator > 1000:
        raise ValueError(
            f"{offset=} must lie in [0, 1) and have at most three decimals."
        )
    return exact
