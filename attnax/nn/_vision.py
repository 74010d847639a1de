"""The embedding of a vision transformer as an Equinox module."""

import math
from collections.abc import Sequence
from typing import SupportsFloat, SupportsIndex

import equinox as eqx
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Integer, PRNGKeyArray

from .. import functional as F
from .._checks import grid_sizes, side_lengths
from .._public import public
from ..functional._resizing.resampling import check_resampling
from ..interop import EmbeddingCheckpoint
from ._made import check_call, from_fields, params_of


class VisionEmbedding(eqx.Module):
    """Embeds images for a vision transformer, as `apply_vision_embedding` does.

    Args:
        image_size: Size in pixels of the images that the positions are made for: one
            side of a square, `(height, width)`, or for video `(frames, height, width)`.
        patch_size: Size of a patch in pixels: one side of a square, `(height, width)`,
            or for video `(frames, height, width)`.
        num_channels: Number of channels of the images. Positive.
        d_model: Width of the embedding. Positive.
        num_tokens_with_position: Number of tokens in front that have positions, such as
            class and distillation tokens. Not negative.
        num_tokens_without_position: Number of tokens between these and the patches that
            have no position, such as registers. Not negative.
        positions: Whether there is a table of positions.
        mask_token: Whether there is a token for masked patches.
        use_bias: Whether the projection of the patches has a bias.
        init_std: Standard deviation of the normal distribution of tokens and positions,
            which is truncated at two standard deviations. Not negative.
        resampling: Record of how positions are resized for images of another grid.
            `attnax.interop.resampling` returns those of released models. `None` refuses
            such images.
        dtype: Dtype of the parameters. `None` is JAX's default float.
        key: A JAX random key.

    Raises:
        ValueError: If a size is not a positive integer, `image_size` is not a multiple
            of `patch_size` with the same number of axes, `resampling` is not a
            `Resampling`, or another argument breaks its rule.

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
    table_grid: tuple[int, ...] | None = eqx.field(static=True)
    resampling: F.Resampling | None = eqx.field(static=True)

    @public
    def __init__(
        self,
        *,
        image_size: SupportsIndex | Sequence[SupportsIndex],
        patch_size: SupportsIndex | Sequence[SupportsIndex],
        num_channels: SupportsIndex,
        d_model: SupportsIndex,
        num_tokens_with_position: SupportsIndex = 1,
        num_tokens_without_position: SupportsIndex = 0,
        positions: bool = True,
        mask_token: bool = False,
        use_bias: bool = True,
        init_std: SupportsFloat = 0.02,
        resampling: F.Resampling | None = None,
        dtype: DTypeLike | None = None,
        key: PRNGKeyArray,
    ):
        self.table_grid = F.patch_grid(image_size, patch_size)
        self.patch_size = side_lengths("patch_size", patch_size)
        self.resampling = resampling
        self.params = F.init_vision_embedding(
            key,
            patch_size=self.patch_size,
            num_channels=num_channels,
            d_model=d_model,
            table_grid=self.table_grid,
            num_tokens_with_position=num_tokens_with_position,
            num_tokens_without_position=num_tokens_without_position,
            positions=positions,
            mask_token=mask_token,
            use_bias=use_bias,
            init_std=init_std,
            dtype=dtype,
        )

    @classmethod
    @public
    def from_checkpoint(cls, checkpoint: EmbeddingCheckpoint) -> "VisionEmbedding":
        """Returns a module with the embedding of a released model; draws nothing.

        Args:
            checkpoint: Result of `attnax.interop.params_from_checkpoint` for a family
                of vision models. Its `patch_size`, `grid` and `resampling` become those
                of the module; `_replace` changes them.

        Returns:
            A `VisionEmbedding` that holds the arrays of the checkpoint.

        Raises:
            ValueError: If the checkpoint holds other parameters, its `patch_size` is
                `None`, or its fields do not fit each other.

        Example:
            >>> from attnax.interop import params_from_checkpoint
            >>> sizes = {"patch_embedding.weight": (8, 3, 4, 4)}
            >>> sizes["patch_embedding.bias"] = (8,)
            >>> sizes["position_embedding.weight"] = (6, 8)
            >>> weights = {f"embeddings.{n}": jnp.ones(s) for n, s in sizes.items()}
            >>> family = "siglip_vision_model"
            >>> loaded = params_from_checkpoint(weights, family, grid=(2, 3))
            >>> VisionEmbedding.from_checkpoint(loaded)(jnp.ones((8, 12, 3))).shape
            (6, 8)

        Reference:
            Dosovitskiy et al., An Image is Worth 16x16 Words, 2021, section 3.2.
            https://arxiv.org/abs/2010.11929
        """
        params = params_of(checkpoint, F.VisionEmbeddingParams)
        if checkpoint.patch_size is None:
            raise ValueError(
                "checkpoint.patch_size=None must be known; pass patch_size to "
                "attnax.interop.params_from_checkpoint."
            )
        grid, resampling = checkpoint.grid, checkpoint.resampling
        if grid is None and params.positions is not None:
            raise ValueError(
                "checkpoint.grid=None must be the grid of params.positions; set it "
                "with checkpoint._replace(grid=...)."
            )
        if grid is not None:
            grid = grid_sizes("checkpoint.grid", grid, most_axes=3)
        return from_fields(
            cls,
            params=params,
            patch_size=side_lengths("checkpoint.patch_size", checkpoint.patch_size),
            table_grid=grid,
            resampling=resampling,
        )

    @public
    def __check_init__(self):
        if self.resampling is not None:
            check_resampling(self.resampling)
        weight = self.params.patch.weight
        num_channels = weight.shape[0] // math.prod(self.patch_size)
        grid = (
            (1,) * len(self.patch_size) if self.table_grid is None else self.table_grid
        )
        size = [n * side for n, side in zip(grid, self.patch_size, strict=True)]
        image = jax.ShapeDtypeStruct((*size, num_channels), weight.dtype)
        check_call(VisionEmbedding, self, image)

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
        """Embeds images; the mask token replaces the patches that are `masked`.

        `precision` is that of the matrix product. For `out_sharding`, see
        `apply_vision_embedding`.
        """
        return F.apply_vision_embedding(
            self.params,
            image,
            patch_size=self.patch_size,
            table_grid=self.table_grid,
            resampling=self.resampling,
            masked=masked,
            precision=precision,
            out_sharding=out_sharding,
        )

    @public
    @jax.named_scope("attnax.nn.VisionEmbedding.packed")
    def packed(
        self,
        packed: F.PackedPatches,
        *,
        precision: jax.lax.PrecisionLike = None,
        out_sharding: NamedSharding | PartitionSpec | None = None,
    ) -> Float[Array, "*batch seq_len d_model"]:
        """Embeds a packed batch of images, as `apply_packed_vision_embedding` does."""
        return F.apply_packed_vision_embedding(
            self.params,
            packed,
            table_grid=self.table_grid,
            resampling=self.resampling,
            out_sharding=out_sharding,
            precision=precision,
        )
