"""Positions of several axes: which axis drives which pair."""

from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Integer

from ..._checks import integers, positive_integer
from ..._public import public


@public
def chunked_axes(
    sections: Sequence[SupportsIndex] | Integer[np.ndarray, " num_sections"],
    *,
    num_axes: SupportsIndex = 3,
) -> tuple[int, ...]:
    """The axis of each pair where axes follow each other in sections: Qwen2-VL.

    The sections of Qwen2-VL are those of time, row and column.

    Args:
        sections: Number of pairs in each section. Their sum is the number of pairs.
            Sections past `num_axes` start again at axis 0.
        num_axes: Number of coordinates of a position. Positive.

    Returns:
        `axis_of_pair` for a `Rope` or `rope_cos_sin`.

    Raises:
        ValueError: If there is no section, a section is negative, or `num_axes` is not
            positive.

    Example:
        >>> chunked_axes((2, 3, 3))
        (0, 0, 1, 1, 1, 2, 2, 2)

    Reference:
        Wang et al., Qwen2-VL, 2024, section 2.1. https://arxiv.org/abs/2409.12191
    """
    sections = _checked_sections(sections)
    num_axes = positive_integer("num_axes", num_axes)
    axes = [axis % num_axes for axis in range(len(sections))]
    return tuple(np.repeat(axes, np.asarray(sections)).tolist())


@public
def strided_axes(
    sections: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    rotary_pairs: SupportsIndex,
) -> tuple[int, ...]:
    """The axis of each pair where axes take turns, then axis 0 alone: Qwen3-VL.

    With `n` axes, axis `k > 0` drives the pairs `k`, `k + n`, ... below
    `n * sections[k]`, and axis 0 drives all others. The sections need not sum to the
    number of pairs. As in the models, the part of a section past the last pair is
    ignored.

    Args:
        sections: One number per axis, for time, row and column in Qwen3-VL. The number
            of axis 0 is not read.
        rotary_pairs: Number of pairs. Positive.

    Returns:
        `axis_of_pair` for a `Rope` or `rope_cos_sin`.

    Raises:
        ValueError: If there is no section, a section is negative, or `rotary_pairs` is
            not positive.

    Example:
        >>> strided_axes((4, 2, 2), 8)
        (0, 1, 2, 0, 1, 2, 0, 0)

    Reference:
        Bai et al., Qwen3-VL Technical Report, 2025, section 2.
        https://arxiv.org/abs/2511.21631
    """
    sections = _checked_sections(sections)
    rotary_pairs = positive_integer("rotary_pairs", rotary_pairs)
    axes, count = np.zeros(rotary_pairs, int), len(sections)
    for axis in range(1, count):
        axes[axis : count * sections[axis] : count] = axis
    return tuple(axes.tolist())


@public
def alternating_axes(
    sections: Sequence[SupportsIndex] | Integer[np.ndarray, "3"],
) -> tuple[int, ...]:
    """The axis of each pair where rows and columns alternate, then time: Ernie 4.5 VL.

    Args:
        sections: Number of pairs for the row, the column and the time, in that order.
            Row and column have equal numbers. The sum is the number of pairs.

    Returns:
        `axis_of_pair` for positions `(time, row, column)`.

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
    sections = _checked_sections(sections)
    if len(sections) != 3 or sections[0] != sections[1]:
        raise ValueError(
            f"{sections=} must be those of row, column and time, the first two equal."
        )
    return (1, 2) * sections[0] + (0,) * sections[2]


def _checked_sections(sections):
    sections = integers("sections", sections)
    if len(sections) == 0 or min(sections) < 0:
        raise ValueError(
            f"{sections=} must be one or more integers that are not negative."
        )
    return sections
