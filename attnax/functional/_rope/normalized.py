"""Coordinates that do not depend on the resolution: DINOv3."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Array, Float

from ..._checks import choice, grid_sizes, is_number, number_array, positive_multiple
from ..._public import public
from .._angles.cos_sin import cos_sin


@public
def normalized_coordinates(
    grid: Sequence[SupportsIndex], *, normalize: str = "separate"
) -> Float[np.ndarray, "{grid[0]}*{grid[1]} 2"]:
    """Centers of the patches of an image, from -1 to 1, row by row.

    Args:
        grid: `(rows, columns)` of patches. Positive.
        normalize: What -1 and 1 are: the borders of each axis (`"separate"`), or those
            of the longer (`"max"`) or the shorter one (`"min"`).

    Returns:
        `(y, x)` of each patch, float32, on the host. In training, DINOv3 shifts,
        stretches and scales them at random before `normalized_cos_sin`.

    Raises:
        ValueError: If a size is no positive integer or `normalize` is unknown.

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
    coordinates: Float[Array | np.ndarray, "*batch num_patches 2"] | Sequence,
    head_dim: int,
    *,
    base: float | None = None,
    periods: tuple[float, float] | None = None,
) -> tuple[
    Float[Array, "*batch num_patches {head_dim}//2"],
    Float[Array, "*batch num_patches {head_dim}//2"],
]:
    """Cos and sin of `2 pi u / period`, for `apply_rope` in the `"half"` layout.

    The first half of the pairs turns by y, the second by x, each through the periods
    `base ** (4 k / head_dim)`. Class and register tokens do not rotate: leave them out
    and put them back.

    Args:
        coordinates: `(y, x)` of each patch, as `normalized_coordinates` gives them:
            numbers of 32 bits or more.
        head_dim: Features of a head. Positive and a multiple of 4.
        base: Base of the periods. Positive. Without it and `periods`, DINOv3's 100.
        periods: Shortest and longest period, with equal ratios between; instead of
            `base`.

    Returns:
        `(cos, sin)` in float32, within 1e-6 for coordinates in [-1, 1] and periods of
        at least 1.

    Raises:
        ValueError: If `coordinates` are not pairs or are floats of 16 bits, `head_dim`
            is not a positive multiple of 4, or `base` and `periods` are both given, or
            not positive.

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
        raise ValueError(f"{coordinates.shape=} must end in the pair (y, x).")
    head_dim = positive_multiple("head_dim", head_dim, 4)
    if base is not None and periods is not None:
        raise ValueError(f"give {base=} or {periods=}, not both.")
    if base is None and periods is None:
        base = 100.0
    if periods is not None and len(periods) != 2:
        raise ValueError(f"{periods=} must be the shortest and the longest.")
    given = [value for value in (base, *(periods or ())) if value is not None]
    if not all(is_number(value) and value > 0 for value in given):
        raise ValueError(f"{base=}, {periods=} must be positive and finite.")
    count = head_dim // 4
    if periods is None:
        period = np.array([float(given[0]) ** (k / count) for k in range(count)])
    else:
        period = np.geomspace(*periods, count)
    inv_freq = np.tile(2 * math.pi / period, 2)
    axes = (0,) * count + (1,) * count
    return cos_sin(
        coordinates,
        inv_freq,
        axis_of_pair=axes,
        numerics="float32",
        argument="coordinates",
    )
