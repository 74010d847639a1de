"""Patch weights from and to the kernels of strided convolutions."""

from jaxtyping import Array, Float

from ._patchify import as_pair


def patch_weight_from_kernel(
    kernel: Float[Array, "a b c d"], layout: str
) -> Float[Array, "patch_dim d_model"]:
    """The patch weight that does what a convolution kernel does.

    Args:
        kernel: Of a convolution whose stride is its size.
        layout: `"HWIO"` (Flax, big_vision) or `"OIHW"` (PyTorch, timm, Equinox).

    Returns:
        `(height * width * channels, d_model)`, for `PatchEmbeddingParams`.

    Raises:
        ValueError: If `layout` is unknown or the kernel has not four axes.

    Example:
        >>> patch_weight_from_kernel(jnp.ones((8, 3, 4, 4)), "OIHW").shape
        (48, 8)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    _check_layout("patch_weight_from_kernel", layout)
    if kernel.ndim != 4:
        raise ValueError(f"patch_weight_from_kernel: {kernel.shape=} must have 4 axes.")
    if layout == "OIHW":
        kernel = kernel.transpose(2, 3, 1, 0)
    return kernel.reshape(-1, kernel.shape[-1])


def patch_kernel_from_weight(
    weight: Float[Array, "patch_dim d_model"],
    patch_size: int | tuple[int, int],
    layout: str,
) -> Float[Array, "a b c d"]:
    """The inverse of `patch_weight_from_kernel`.

    Args:
        weight: Of a patch embedding.
        patch_size: Side of a patch in pixels, or `(height, width)`.
        layout: `"HWIO"` or `"OIHW"`.

    Returns:
        A kernel of four axes in the order of `layout`.

    Raises:
        ValueError: If `layout` is unknown or the weight does not fit `patch_size`.

    Example:
        >>> patch_kernel_from_weight(jnp.ones((48, 8)), 4, "OIHW").shape
        (8, 3, 4, 4)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.1.
        https://arxiv.org/abs/2010.11929
    """
    name = "patch_kernel_from_weight"
    _check_layout(name, layout)
    height, width = as_pair(name, "patch_size", patch_size)
    if weight.ndim != 2 or weight.shape[0] % (height * width) != 0:
        raise ValueError(
            f"{name}: {weight.shape=} must have a multiple of {height} x {width} rows."
        )
    kernel = weight.reshape(height, width, -1, weight.shape[-1])
    return kernel.transpose(3, 2, 0, 1) if layout == "OIHW" else kernel


def _check_layout(function, layout):
    if layout not in ("HWIO", "OIHW"):
        raise ValueError(f"{function}: {layout=} must be 'HWIO' or 'OIHW'.")
