"""Coordinates that do not depend on the resolution: DINOv3."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import numpy as np
from jaxtyping import Array, Float, Integer, Real

from ..._checks import (
    FLOAT32_MAX,
    choice,
    grid_sizes,
    number,
    number_array,
    positive_multiple,
)
from ..._public import public
from .._angles.cos_sin import cos_sin


@public
def normalized_coordinates(
    grid: Sequence[SupportsIndex] | Integer[np.ndarray, " num_axes"],
    *,
    normalize: str = "separate",
) -> Float[np.ndarray, "{grid[0]}*{grid[1]} 2"]:
    """Centers of the patches of an image, from -1 to 1, row by row.

    Args:
        grid: Number of patches along each axis, `(rows, columns)`. Positive.
        normalize: The borders that -1 and 1 stand for: those of each axis for
            `"separate"`, those of the longer axis for `"max"`, or those of the shorter
            axis for `"min"`.

    Returns:
        `(row, column)` of the center of each patch, in float32, on the host. In
        training, DINOv3 shifts, stretches and scales them at random before
        `normalized_cos_sin`.

    Raises:
        ValueError: If a size is not a positive integer or `normalize` is unknown.

    Example:
        >>> normalized_coordinates((1, 2))
        array([[ 0. , -0.5],
               [ 0. ,  0.5]], dtype=float32)

    Reference:
        Siméoni et al., DINOv3, 2025, section 3.2, and its code.
        https://arxiv.org/abs/2508.10104
    """
    grid = sizes = grid_sizes("grid", grid)
    choice("normalize", normalize, ("separate", "max", "min"))
    if normalize != "separate":
        sizes = (max(sizes),) * 2 if normalize == "max" else (min(sizes),) * 2
    axes = (
        2 * (np.arange(count) + 0.5) / size - 1
        for count, size in zip(grid, sizes, strict=True)
    )
    centers = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    return centers.reshape(-1, 2).astype(np.float32)


@public
def normalized_cos_sin(
    coordinates: Real[Array | np.ndarray, "*patches 2"] | Sequence,
    head_dim: SupportsIndex,
    *,
    base: SupportsFloat | None = None,
    periods: Sequence[SupportsFloat] | Real[np.ndarray, "2"] | None = None,
) -> tuple[
    Float[Array, "*patches {head_dim}//2"],
    Float[Array, "*patches {head_dim}//2"],
]:
    """Cos and sin of `2 pi * coordinate / period`, for `apply_rope` in `"half"` layout.

    The row drives the first half of the pairs and the column the second half, each with
    the periods `base ** (4 k / head_dim)`. Class and register tokens do not rotate:
    rotate the patches without them.

    Args:
        coordinates: `(row, column)` of each patch, as `normalized_coordinates` returns
            them, in 32 bits or more.
        head_dim: Features of a head. Positive and a multiple of 4.
        base: Base of the periods. Positive. `None` stands for the 100 of DINOv3 where
            `periods` are not given either.
        periods: Shortest and longest period, in place of `base`. The ratio of
            neighboring periods between them is constant.

    Returns:
        `(cos, sin)` in float32, with errors of at most 1e-6 for coordinates in [-1, 1]
        and periods of at least 1.

    Raises:
        ValueError: If `coordinates` are not pairs or are floats of 16 bits, `head_dim`
            is not a positive multiple of 4, `base` and `periods` are both given, one of
            them is not positive, or the first period is longer than the second.

    Example:
        >>> cos, sin = normalized_cos_sin(normalized_coordinates((2, 3)), 8)
        >>> cos.shape
        (6, 4)

    Reference:
        Siméoni et al., DINOv3, 2025, section 3.2, and its code.
        https://arxiv.org/abs/2508.10104
    """
    coordinates = number_array("coordinates", coordinates)
    if coordinates.shape[-1:] != (2,):
        raise ValueError(f"{coordinates.shape=} must end in the pair (row, column).")
    head_dim = positive_multiple("head_dim", head_dim, 4)
    period = _periods(base, periods, head_dim // 4)
    if period.min() < 2 * math.pi / FLOAT32_MAX:
        given = f"{base=}" if periods is None else f"{periods=}"
        raise ValueError(
            f"{given} must be larger, for float32 to hold its frequencies."
        )
    inv_freq = np.tile(2 * math.pi / period, 2)
    axes = (0,) * period.size + (1,) * period.size
    return cos_sin(
        coordinates,
        inv_freq,
        axis_of_pair=axes,
        numerics="float32",
        argument="coordinates",
    )


def _periods(base, periods, count):
    """`count` periods, from the base of a progression or from its ends."""
    if periods is None:
        base = number("base", 100.0 if base is None else base, positive=True)
        return np.array([base ** (k / count) for k in range(count)])
    if base is not None:
        raise ValueError(f"{base=} must be None where {periods=} is given.")
    if not isinstance(periods, Sequence | np.ndarray) or len(periods) != 2:
        raise ValueError(f"{periods=} must be the shortest and the longest period.")
    shortest, longest = (number("periods", end, positive=True) for end in periods)
    if shortest > longest:
        raise ValueError(f"{periods=} must be the shortest and the longest period.")
    return np.geomspace(shortest, longest, count)
