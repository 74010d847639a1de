"""The embedding of a vision transformer as an Equinox module."""

from collections.abc import Sequence

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._public import public
from ..functional._patches.sizes import as_size, patch_grid
from ..functional._resizing.resampling import check_resampling


class VisionEmbedding(eqx.Module):
    """Patches, positions and extra tokens; see `apply_vision_embedding`.

    Args:
        image_size: Side of the images that the positions are made for, in pixels,
            `(height, width)`, or for video `(frames, height, width)`.
        patch_size: Side of a patch in pixels, `(height, width)`, or for video
            `(frames, height, width)`.
        num_channels: Channels of the images. Positive.
        d_model: Width of the embedding. Positive.
        num_tokens_with_position: Tokens in front that have positions: class,
            distillation.
        num_tokens_without_position: Tokens between these and the patches that have
            none: registers.
        positions: Whether there is a table of positions.
        mask_token: Whether there is a token for masked patches.
        use_bias: Whether the projection of the patches has a bias.
        init_std: Standard deviation of the normal before it is truncated at two.
        resampling: How positions are resized for images of another grid;
            `attnax.interop.resampling` has the way of released models. `None` refuses
            such images.
        dtype: Of the parameters; `None` is JAX's default float.
        key: A JAX random key.

    Raises:
        ValueError: As `init_vision_embedding` does, if `image_size` is not a multiple
            of `patch_size`, or `resampling` is not a `Resampling`.

    Example:
        >>> sizes = dict(image_size=(8, 12), patch_size=4, num_channels=3, d_model=16)
        >>> ways = dict(resampling=F.Resampling("bicubic", antialias=True))
        >>> embedding = VisionEmbedding(**sizes, **ways, key=jax.random.key(0))
        >>> [embedding(jnp.ones((n, 12, 3))).shape for n in (8, 16)]
        [(7, 16), (13, 16)]

    Reference:
        Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, eq. 1 and section 3.2.
        https://arxiv.org/abs/2010.11929
    """

    params: F.VisionEmbeddingParams
    patch_size: tuple[int, ...] = eqx.field(static=True)
    grid: tuple[int, ...] = eqx.field(static=True)
    resampling: F.Resampling | None = eqx.field(static=True)

    @public
    def __init__(
        self,
        *,
        image_size: int | tuple[int, ...],
        patch_size: int | tuple[int, ...],
        num_channels: int,
        d_model: int,
        num_tokens_with_position: int = 1,
        num_tokens_without_position: int = 0,
        positions: bool = True,
        mask_token: bool = False,
        use_bias: bool = True,
        init_std: float = 0.02,
        resampling: F.Resampling | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        self.grid = patch_grid(image_size, patch_size)
        self.patch_size = as_size("patch_size", patch_size)
        if resampling is not None:
            check_resampling(resampling)
        self.resampling = resampling
        self.params = F.init_vision_embedding(
            key,
            patch_size=self.patch_size,
            num_channels=num_channels,
            d_model=d_model,
            grid=self.grid,
            num_tokens_with_position=num_tokens_with_position,
            num_tokens_without_position=num_tokens_without_position,
            positions=positions,
            mask_token=mask_token,
            use_bias=use_bias,
            init_std=init_std,
            dtype=dtype,
        )

    @public
    @jax.named_scope("attnax.nn.VisionEmbedding")
    def __call__(
        self,
        image: Float[Array | np.ndarray, "*batch_and_frames height width channels"],
        *,
        masked: Bool[Array | np.ndarray, "*#batch num_patches"]
        | Integer[Array | np.ndarray, "*#batch num_patches"]
        | Sequence
        | None = None,
        precision: jax.lax.PrecisionLike = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "*batch seq_len d_model"]:
        """Embeds images; the mask token stands for patches that are `masked`.

        `out_sharding` is that of the result, see `apply_vision_embedding`.
        """
        return F.apply_vision_embedding(
            self.params,
            image,
            patch_size=self.patch_size,
            grid=self.grid,
            resampling=self.resampling,
            masked=masked,
            precision=precision,
            out_sharding=out_sharding,
        )

    @public
    @jax.named_scope("attnax.nn.VisionEmbedding.packed")
    def packed(
        self,
        patches: Float[Array | np.ndarray, "*batch num_patches patch_dim"],
        coordinates: Integer[Array | np.ndarray, "*batch num_patches 2"] | Sequence,
        mask: Bool[Array | np.ndarray, "*batch num_patches"]
        | Integer[Array | np.ndarray, "*batch num_patches"]
        | Sequence,
        grids: Integer[Array | np.ndarray, "*batch 2"] | Sequence,
        *,
        precision: jax.lax.PrecisionLike = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> Float[Array, "*batch seq_len d_model"]:
        """Embeds a packed batch of images, see `apply_packed_vision_embedding`."""
        return F.apply_packed_vision_embedding(
            self.params,
            patches,
            coordinates,
            mask,
            grids,
            grid=self.grid,
            resampling=self.resampling,
            out_sharding=out_sharding,
            precision=precision,
        )
