"""Converts patch weights from and to kernels of convolutions and linear layers."""

import math
from collections.abc import Sequence
from typing import SupportsIndex

import numpy as np
from jaxtyping import Array, Float

from ..._checks import choice, float_array, side_lengths
from ..._public import public
from .blocks import own

# Each letter is an axis; flattened axes stand in parentheses.
LAYOUTS = (
    *("HWIO", "OIHW", "THWIO", "OITHW"),
    *("O(HWI)", "O(IHW)", "O(THWI)", "O(ITHW)"),
)


@public
def patch_weight_from_kernel(
    kernel: Float[Array | np.ndarray, "*kernel"],
    layout: str,
    patch_size: SupportsIndex | Sequence[SupportsIndex] | None = None,
) -> Float[Array | np.ndarray, "patch_dim d_model"]:
    """Returns the patch weight that is equivalent to a convolution or linear layer.

    Args:
        kernel: Kernel of a convolution whose stride is its size, or of a linear layer
            that takes flattened patches. A JAX or a NumPy array.
        layout: Order of the axes of the kernel: `T` frames, `H` height, `W` width, `I`
            channels of the image, `O` features of the embedding. Convolutions have
            `"HWIO"` (Flax, big_vision) or `"OIHW"` (PyTorch, timm, Equinox), and for
            video `"THWIO"` or `"OITHW"`. Linear layers of PyTorch, whose second axis
            is flattened, have `"O(HWI)"` (SigLIP 2), `"O(IHW)"` (Llama 4), `"O(THWI)"`
            or `"O(ITHW)"`.
        patch_size: Side of a patch in pixels, `(height, width)` or `(frames, height,
            width)`. Flattened layouts need it; for the others it is checked if given.

    Returns:
        The `weight` of `PatchEmbeddingParams`, `(product of the patch's sides *
        channels, d_model)`. It is the same kind of array as `kernel` with the same
        bits, never a view.

    Raises:
        ValueError: If `layout` is unknown, a size is not a positive integer, or the
            kernel does not fit `layout` or `patch_size`.

    Example:
        >>> patch_weight_from_kernel(jnp.ones((8, 3, 4, 4)), "OIHW").shape
        (48, 8)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929; for video, Arnab et al., ViViT, 2021, section
        3.2. https://arxiv.org/abs/2103.15691
    """
    size = kernel_patch_size("patch_size", kernel, layout, patch_size)
    axes, order = _axes(layout)
    blocks = kernel
    if "(" in layout:
        lengths = dict(zip("THW"[-len(size) :], size, strict=True))
        lengths["O"], lengths["I"] = kernel.shape[0], kernel.shape[1] // math.prod(size)
        blocks = kernel.reshape([lengths[axis] for axis in axes])
    weight = blocks.transpose([axes.index(axis) for axis in order])
    *features, d_model = weight.shape
    return own(weight.reshape(math.prod(features), d_model), kernel)


@public
def patch_kernel_from_weight(
    weight: Float[Array | np.ndarray, "patch_dim d_model"],
    layout: str,
    patch_size: SupportsIndex | Sequence[SupportsIndex],
) -> Float[Array | np.ndarray, "*kernel"]:
    """Returns the kernel that a patch weight came from.

    This is the inverse of `patch_weight_from_kernel`.

    Args:
        weight: Weight of a patch embedding. A JAX or a NumPy array.
        layout: Order of the axes of the kernel, see `patch_weight_from_kernel`.
        patch_size: Side of a patch in pixels, `(height, width)` or `(frames, height,
            width)`.

    Returns:
        A kernel with the axes of `layout`. It is the same kind of array as `weight`
        with the same bits, never a view.

    Raises:
        ValueError: If `layout` is unknown, a size is not a positive integer, or the
            weight or `patch_size` does not fit `layout`.

    Example:
        >>> patch_kernel_from_weight(jnp.ones((48, 8)), "OIHW", 4).shape
        (8, 3, 4, 4)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    float_array("weight", weight, nan=False)
    axes, order = _axes(layout)
    size = _size("patch_size", patch_size, layout, axes)
    check_rows_of_patches(weight, size, f"{patch_size=}")
    channels, d_model = weight.shape[0] // math.prod(size), weight.shape[1]
    kernel = weight.reshape(*size, channels, d_model)
    kernel = kernel.transpose([order.index(axis) for axis in axes])
    if "(" in layout:
        kernel = kernel.reshape(d_model, weight.shape[0])
    return own(kernel, weight)


def check_rows_of_patches(weight, size, described) -> None:
    """Raises unless a weight has a row for each feature of patches of `size`.

    `described` is the caller's name for `size` with its value.
    """
    if weight.ndim != 2 or weight.shape[0] % math.prod(size) != 0:
        raise ValueError(
            f"{weight.shape=} must have a multiple of "
            f"{' x '.join(map(str, size))} rows for {described}."
        )


def kernel_patch_size(argument, kernel, layout, patch_size) -> tuple[int, ...]:
    """Returns the sides of a patch; raises unless kernel, layout and sides agree."""
    float_array("kernel", kernel, nan=False)
    axes, _ = _axes(layout)
    size = None
    if patch_size is not None:
        size = _size(argument, patch_size, layout, axes)
    if "(" in layout:
        if size is None:
            raise ValueError(f"{argument} must be given for {layout=}.")
        if kernel.ndim != 2 or kernel.shape[1] % math.prod(size) != 0:
            raise ValueError(
                f"{kernel.shape=} must be (d_model, a multiple of "
                f"{' x '.join(map(str, size))}) for {layout=}."
            )
        return size
    if kernel.ndim != len(axes):
        raise ValueError(f"{kernel.shape=} must have {len(axes)} axes.")
    sides = tuple(kernel.shape[axes.index(axis)] for axis in "THW"[5 - len(axes) :])
    if 0 in sides:
        raise ValueError(f"{kernel.shape=} must have sides of 1 at least.")
    if size not in (None, sides):
        raise ValueError(
            f"{kernel.shape=} must have the sides of {argument}={patch_size} for "
            f"{layout=}."
        )
    return sides


def _axes(layout):
    """Returns the axes of the layout and those of the unflattened weight."""
    choice("layout", layout, LAYOUTS)
    axes = layout.replace("(", "").replace(")", "")
    return axes, "THWIO"[-len(axes) :]


def _size(argument, patch_size, layout, axes):
    size = side_lengths(argument, patch_size)
    if len(size) + 2 != len(axes):
        raise ValueError(
            f"{argument}={patch_size} must have {len(axes) - 2} axes for {layout=}."
        )
    return size
