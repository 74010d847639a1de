"""Positions of several axes: which axis drives which pair."""

from collections.abc import Sequence

import numpy as np

from ..._checks import check_flags, integers, is_integer, positive_integer
from ..._public import public
from .frequencies import geometric
from .record import Rope


@public
def chunked_axes(sections: Sequence[int], *, num_axes: int = 3) -> tuple[int, ...]:
    """Axes in sections one after the other: time, height, width of Qwen2-VL.

    Args:
        sections: Pairs of each section. Their sum is the number of pairs. More sections
            than axes start again at axis 0.
        num_axes: Coordinates of a position. Positive.

    Returns:
        `axis_of_pair` for a `Rope` or `rope_cos_sin`.

    Raises:
        ValueError: If there is no section, one is negative, or `num_axes` not positive.

    Example:
        >>> chunked_axes((2, 3, 3))
        (0, 0, 1, 1, 1, 2, 2, 2)

    Reference:
        Wang et al., Qwen2-VL, 2024, section 2.1. https://arxiv.org/abs/2409.12191
    """
    _check_sections(sections)
    num_axes = positive_integer("num_axes", num_axes)
    axes = np.arange(len(sections)) % num_axes
    return tuple(np.repeat(axes, np.asarray(sections)).tolist())


@public
def strided_axes(sections: Sequence[int], rotary_pairs: int) -> tuple[int, ...]:
    """Axes in turn, then the first axis alone: Qwen3-VL.

    Of `n` axes, axis `k > 0` drives the pairs `k`, `k + n`, ... below
    `n * sections[k]`, and axis 0 all others. Sections need not sum to the pairs: what
    lies past the last pair is not there, as in the models.

    Args:
        sections: One number per axis; that of axis 0 is not read.
        rotary_pairs: Number of pairs. Positive.

    Returns:
        `axis_of_pair` for a `Rope` or `rope_cos_sin`.

    Raises:
        ValueError: If there is no section, one is negative, or `rotary_pairs` is not
            positive.

    Example:
        >>> strided_axes((4, 2, 2), 8)
        (0, 1, 2, 0, 1, 2, 0, 0)

    Reference:
        Bai et al., Qwen3-VL Technical Report, 2025, section 2.
        https://arxiv.org/abs/2511.21631
    """
    _check_sections(sections)
    rotary_pairs = positive_integer("rotary_pairs", rotary_pairs)
    axes, count = np.zeros(rotary_pairs, int), len(sections)
    for axis in range(1, count):
        axes[axis : count * sections[axis] : count] = axis
    return tuple(axes.tolist())


@public
def alternating_axes(sections: Sequence[int]) -> tuple[int, ...]:
    """Height and width in turn, then time: Ernie 4.5 VL.

    Args:
        sections: Pairs of height, width and time, in that order; height and width have
            as many. Their sum is the number of pairs.

    Returns:
        `axis_of_pair` for positions `(time, height, width)`.

    Raises:
        ValueError: If `sections` are not three, one is negative, or the first two
            differ.

    Example:
        >>> alternating_axes((2, 2, 1))
        (1, 2, 1, 2, 0)

    Reference:
        Baidu, ERNIE 4.5 Technical Report, 2025, section 2.2.2.
        https://ernie.baidu.com/blog/publication/ERNIE_Technical_Report.pdf
    """
    _check_sections(sections)
    if len(sections) != 3 or sections[0] != sections[1]:
        raise ValueError(
            f"sections={tuple(sections)} must be those of height, "
            "width and time, the first two equal."
        )
    return (1, 2) * sections[0] + (0,) * sections[2]


@public
def axial_rope(
    dims: Sequence[int],
    base: float = 10_000.0,
    *,
    axis_order: Sequence[int] | None = None,
    alternate: bool = False,
    shared: bool = False,
    layout: str = "half",
    num_blocks: int = 1,
) -> Rope:
    """A rope of several axes, each with a progression of its own: images and videos.

    Args:
        dims: Channels that each axis turns. Positive and even.
        base: Base of every progression. Positive and finite.
        axis_order: The axes in the order in which their pairs follow each other; `None`
            is `0, 1, ...`.
        alternate: Take one pair of each axis in turn, instead of all of one axis and
            then all of the next. The `dims` must be equal.
        shared: Deal one progression over all channels out to the axes in turn (Pixtral,
            whose height has the even frequencies and whose width the odd ones). The
            `dims` must be equal.
        layout: See `Rope`.
        num_blocks: 1, or as many as axes, whose `dims` are then equal, to pair channels
            within each axis; see `Rope`.

    Returns:
        A rope for positions whose last axis holds `len(dims)` coordinates.

    Raises:
        ValueError: If `dims` is empty, one is not positive and even or they must be
            equal and are not, `axis_order` does not name every axis once, or
            `num_blocks` is another number.

    Example:
        >>> axial_rope((4, 4)).axis_of_pair
        (0, 0, 1, 1)
        >>> axial_rope((4, 4), axis_order=(1, 0), alternate=True).axis_of_pair
        (1, 0, 1, 0)

    Reference:
        Heo et al., Rotary Position Embedding for Vision Transformer, 2024, section 3.2.
        https://arxiv.org/abs/2403.13298; Agrawal et al., Pixtral 12B, 2024, section 2.
        https://arxiv.org/abs/2410.07073
    """
    count = len(dims)
    axis_order = range(count) if axis_order is None else axis_order
    axis_order = integers("axis_order", axis_order)
    check_flags(alternate=alternate, shared=shared)
    if count == 0 or not all(is_integer(d) and d > 0 and d % 2 == 0 for d in dims):
        raise ValueError(f"dims={tuple(dims)} must be positive and even.")
    if sorted(axis_order) != list(range(count)):
        raise ValueError(f"{axis_order=} must name each of the {count} axes once.")
    if not is_integer(num_blocks) or num_blocks not in (1, count):
        raise ValueError(f"{num_blocks=} must be 1 or the {count} axes.")
    if (alternate or shared or num_blocks > 1) and len(set(dims)) != 1:
        raise ValueError(
            f"dims={tuple(dims)} must be equal for {alternate=}, {shared=}, "
            f"{num_blocks=}."
        )
    if shared:
        whole = geometric(sum(dims), base)
        per_axis = [whole[axis::count] for axis in range(count)]
    else:
        per_axis = [geometric(d, base) for d in dims]
    parts = [per_axis[axis] for axis in axis_order]
    axes = [
        np.full(part.size, axis) for part, axis in zip(parts, axis_order, strict=True)
    ]
    if alternate:
        inv_freq, axis_of_pair = np.stack(parts, 1).ravel(), np.stack(axes, 1).ravel()
    else:
        inv_freq, axis_of_pair = np.concatenate(parts), np.concatenate(axes)
    return Rope(
        inv_freq, layout, axis_of_pair=axis_of_pair.tolist(), num_blocks=num_blocks
    )


def _check_sections(sections):
    if len(sections) == 0 or not all(is_integer(s) and s >= 0 for s in sections):
        raise ValueError(
            f"sections={tuple(sections)} must be one or more integers that "
            "are not negative."
        )
