"""Patch weights for patches of another size, by the method of FlexiViT."""

import math
from collections.abc import Sequence
from typing import NamedTuple, SupportsIndex

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from ..._checks import float_array, side_lengths
from ..._dtypes import compute_dtype
from ..._public import public
from .._resizing.axis import axis_matrix
from .._resizing.resampling import Resampling, check_resampling
from .kernel import (
    check_rows_of_patches,
    kernel_patch_size,
    patch_kernel_from_weight,
    patch_weight_from_kernel,
)


class ResizedPatchWeight(NamedTuple):
    """A patch weight or kernel for patches of another size, and the loss it has.

    Attributes:
        weight: Weight or kernel in the layout and dtype of the one that was given.
        residual: Part of the old weight that resized patches cannot reproduce, for each
            feature of the embedding: `norm(w - B.T @ w') / norm(w)`, in `[0, 1]`. It
            is 0 where no side shrinks.
    """

    weight: Float[Array, "*weight"]
    residual: Float[Array, " d_model"]


@public
def resize_patch_weight(
    weight: Float[Array | np.ndarray, "old_patch_dim d_model"],
    old_patch_size: SupportsIndex | Sequence[SupportsIndex],
    new_patch_size: SupportsIndex | Sequence[SupportsIndex],
    resampling: Resampling,
) -> ResizedPatchWeight:
    """Returns the weight that embeds resized patches as `weight` embeds the old ones.

    The new weight is `w' = pinv(B.T) @ w` for each channel, where the matrix `B`
    resizes a patch. No other weight has products `w' @ (B @ x)` nearer to `w @ x` over
    patches `x` of white noise. The products are equal where no side shrinks. The bias
    stays as it is.

    `B` is a Kronecker product over the axes, and so is its pseudo-inverse. The small
    matrix of each axis is made on the host in float64. Sizes are static; the weight
    may be traced.

    Args:
        weight: Weight of a patch embedding, with rows in (row, column, channel) order,
            or for video in (frame, row, column, channel) order. A JAX or a NumPy
            array.
        old_patch_size: Side of the old patches in pixels, `(height, width)`, or for
            video `(frames, height, width)`.
        new_patch_size: Side of the new patches in pixels, with the same axes.
        resampling: Record of how patches are resized, without `align_corners` and
            `offset`. timm uses `Resampling("bicubic", antialias=True)`, big_vision uses
            `Resampling("bilinear", antialias=False)`.

    Returns:
        The new weight and the residual of each feature, as JAX arrays. The weight is
        computed in float32 or wider and rounded once to the dtype of `weight`; the
        residual is not rounded. If the sizes are equal, the weight itself is returned.
        Subnormal numbers count as zeros wherever XLA treats them as zeros.

    Raises:
        ValueError: If a size is not a positive integer, the sizes have different axes,
            the weight does not fit the old size or is not of a real float dtype, or
            `resampling` is not a `Resampling`, or has `align_corners` or an `offset`.

    Example:
        >>> weight = jnp.ones((4 * 4 * 3, 8))
        >>> resampling = Resampling("bicubic", antialias=True)
        >>> resize_patch_weight(weight, 4, (6, 5), resampling).weight.shape
        (90, 8)

    Reference:
        Beyer et al., FlexiViT: One Model for All Patch Sizes, 2023, section 3.4, eq. 1
        to 4. https://arxiv.org/abs/2212.08013
    """
    weight = jnp.asarray(float_array("weight", weight))
    old = side_lengths("old_patch_size", old_patch_size)
    check_rows_of_patches(weight, old, f"{old_patch_size=}")
    return _resize(weight, old, new_patch_size, resampling)


@public
def resize_patch_kernel(
    kernel: Float[Array | np.ndarray, "*old_kernel"],
    new_patch_size: SupportsIndex | Sequence[SupportsIndex],
    resampling: Resampling,
    *,
    layout: str,
    old_patch_size: SupportsIndex | Sequence[SupportsIndex] | None = None,
) -> ResizedPatchWeight:
    """Returns the kernel that embeds resized patches as `kernel` embeds the old ones.

    The method is that of `resize_patch_weight`.

    Args:
        kernel: Kernel of a convolution or a linear layer, see
            `patch_weight_from_kernel`.
        new_patch_size: Side of the new patches in pixels, `(height, width)`, or for
            video `(frames, height, width)`.
        resampling: Record of how patches are resized, see `resize_patch_weight`.
        layout: Order of the axes of the kernel, see `patch_weight_from_kernel`.
        old_patch_size: Side of the old patches in pixels. Flattened layouts need it;
            for the others it is checked if given.

    Returns:
        The new kernel, in the same layout and dtype, and the residual of each feature.

    Raises:
        ValueError: If `layout` is unknown, a size is not a positive integer, the kernel
            or a size does not fit the layout, the kernel is not of a real float dtype,
            or `resampling` is not a `Resampling`, or has `align_corners` or an
            `offset`.

    Example:
        >>> kernel, resampling = jnp.ones((8, 3, 4, 4)), Resampling("bicubic", True)
        >>> resized = resize_patch_kernel(kernel, (6, 5), resampling, layout="OIHW")
        >>> resized.weight.shape
        (8, 3, 6, 5)

    Reference:
        Beyer et al., FlexiViT: One Model for All Patch Sizes, 2023, section 3.4.
        https://arxiv.org/abs/2212.08013
    """
    kernel = jnp.asarray(float_array("kernel", kernel))
    old = kernel_patch_size("old_patch_size", kernel, layout, old_patch_size)
    weight = patch_weight_from_kernel(kernel, layout, old)
    resized = _resize(weight, old, new_patch_size, resampling)
    new = patch_kernel_from_weight(resized.weight, layout, new_patch_size)
    return resized._replace(weight=new)


def _resize(weight, old, new_patch_size, resampling):
    new = side_lengths("new_patch_size", new_patch_size)
    if len(old) != len(new):
        raise ValueError(f"{new_patch_size=} must have {len(old)} axes.")
    check_resampling(resampling)
    if resampling.align_corners or resampling.offset:
        raise ValueError(
            f"{resampling=} must have align_corners=False and offset=0.0 for patches."
        )
    dtype, d_model = compute_dtype(weight.dtype), weight.shape[1]
    matrices = {
        axis: axis_matrix(*sizes, resampling)
        for axis, sizes in enumerate(zip(old, new, strict=True))
        if sizes[0] != sizes[1]
    }
    if not matrices:
        return ResizedPatchWeight(weight, jnp.zeros((d_model,), dtype))
    channels = weight.shape[0] // math.prod(old)
    wide = weight.astype(dtype).reshape(*old, channels, d_model)
    resized = wide
    for axis, matrix in matrices.items():
        resized = _along(np.linalg.pinv(matrix.T), resized, axis)
    resized = resized.reshape(math.prod(new) * channels, d_model).astype(weight.dtype)
    return ResizedPatchWeight(resized, _residual(wide, matrices))


def _along(matrix, x, axis):
    """Returns `matrix @ x` along one axis at the highest precision."""
    matrix = jnp.asarray(matrix, x.dtype)
    product = jnp.tensordot(matrix, x, (1, axis), precision=lax.Precision.HIGHEST)
    return jnp.moveaxis(product, 0, axis)


def _residual(weight, matrices):
    """Returns the part of each feature outside the row spaces of shrinking matrices."""
    axes = tuple(range(weight.ndim - 1))
    lost, coordinates = np.zeros(weight.shape[:-2], np.bool_), _scaled(weight, axes)
    for axis, matrix in matrices.items():
        new_size, old_size = matrix.shape
        if new_size < old_size:  # these matrices all have full rank
            basis = np.linalg.svd(matrix).Vh  # its first rows span the row space
            coordinates = _along(basis, coordinates, axis)
            beyond = np.arange(old_size) >= new_size
            lost |= beyond.reshape([-1 if a == axis else 1 for a in range(lost.ndim)])
    energy = jnp.square(coordinates)
    # The norm of a difference would be mere rounding where almost all is kept.
    part = jnp.where(lost[..., None, None], energy, 0).sum(axes)
    # Where nothing is lost, the root would have an infinite gradient. NaN stays NaN.
    ratio = part / jnp.where(part == 0, 1, energy.sum(axes))
    return jnp.where(part == 0, 0, jnp.sqrt(jnp.where(part == 0, 1, ratio)))


def _scaled(weight, axes):
    """Divides each feature by a power of two, so that its largest value is below 2.

    Squares then neither overflow nor underflow. XLA may multiply by the reciprocal of
    the power, so the reciprocal must not be subnormal either.
    """
    largest = jnp.abs(weight).max(axes, keepdims=True, initial=0)
    largest = lax.stop_gradient(largest)
    shrink = jnp.where(largest > 1, jnp.asarray(0.25, weight.dtype), 1)
    weight, largest = weight * shrink, largest * shrink
    mantissa = jnp.where(largest > 0, 2 * jnp.frexp(largest)[0], 1)
    return weight / jnp.where(largest > 0, largest / mantissa, 1)
