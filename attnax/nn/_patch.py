"""Patch embedding as an Equinox module."""

from collections.abc import Sequence
from typing import SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Float, PRNGKeyArray

from .. import functional as F
from .._checks import float_array, positive_integer, side_lengths
from .._public import public
from ..functional._patches.channels_last import check_channels_last
from ._made import check_call


class PatchEmbedding(eqx.Module):
    """Embeds the patches of images, as `attnax.functional.apply_patch_embedding` does.

    Args:
        image_size: Size of the images in pixels: one side of a square,
            `(height, width)`, or for video `(frames, height, width)`.
        patch_size: Size of a patch in pixels: one side of a square, `(height, width)`,
            or for video `(frames, height, width)`.
        num_channels: Number of channels of the images. Positive.
        d_model: Width of the embedding. Positive.
        use_bias: Whether the projection has a bias.
        dtype: Dtype of the parameters. `None` is JAX's default float.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, or `image_size` is not a
            multiple of `patch_size` with the same number of axes.

    Example:
        >>> sizes = dict(image_size=(8, 12), patch_size=4, num_channels=3, d_model=16)
        >>> embedding = PatchEmbedding(**sizes, key=jax.random.key(0))
        >>> embedding(jnp.ones((2, 8, 12, 3))).shape
        (2, 6, 16)

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1.
        https://arxiv.org/abs/2010.11929
    """

    params: F.PatchEmbeddingParams
    image_size: tuple[int, ...] = eqx.field(static=True)
    patch_size: tuple[int, ...] = eqx.field(static=True)
    num_channels: int = eqx.field(static=True)

    @public
    def __init__(
        self,
        *,
        image_size: SupportsIndex | Sequence[SupportsIndex],
        patch_size: SupportsIndex | Sequence[SupportsIndex],
        num_channels: SupportsIndex,
        d_model: SupportsIndex,
        use_bias: bool = True,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        self.image_size = side_lengths("image_size", image_size)
        self.patch_size = side_lengths("patch_size", patch_size)
        self.params = F.init_patch_embedding(
            key,
            patch_size=self.patch_size,
            num_channels=num_channels,
            d_model=d_model,
            use_bias=use_bias,
            dtype=dtype,
        )
        self.num_channels = positive_integer("num_channels", num_channels)

    @public
    def __check_init__(self):
        F.patch_grid(self.image_size, self.patch_size)
        shape = (*self.image_size, self.num_channels)
        image = jax.ShapeDtypeStruct(shape, self.params.weight.dtype)
        check_call(PatchEmbedding, self, image)

    @property
    def weight(self) -> Float[Array, "patch_dim d_model"]:
        """The projection, one row per feature of a patch as `patchify` has it."""
        return self.params.weight

    @property
    def bias(self) -> Float[Array, " d_model"] | None:
        """The vector added to every patch, or `None`."""
        return self.params.bias

    @public
    @jax.named_scope("attnax.nn.PatchEmbedding")
    def __call__(
        self,
        image: Float[Array | np.ndarray, "*batch_and_frames height width channels"],
        *,
        dtype: DTypeLike | None = None,
        precision: jax.lax.PrecisionLike = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch num_patches d_model"]:
        """Embeds the patches of images or videos of the size of the module.

        The result has `dtype`, by default that of `image`. `precision` is that of the
        matrix product. For `out_sharding`, see `apply_patch_embedding`.
        """
        image = float_array("image", image)
        size = (*self.image_size, self.num_channels)
        if image.shape[-len(size) :] != size:
            num_axes, channels = len(self.image_size), self.num_channels
            check_channels_last("image", image, num_axes, channels)
            raise ValueError(
                f"{image.shape=} must end in {size}; "
                "attnax.functional.apply_patch_embedding takes every divisible size."
            )
        return F.apply_patch_embedding(
            self.params,
            image,
            patch_size=self.patch_size,
            dtype=dtype,
            precision=precision,
            out_sharding=out_sharding,
        )
