"""Stateless embeddings over explicit parameters.

The law of every pair:

- `init_x(key, sizes..., *, options) -> XParams` draws parameters, a `NamedTuple` of
  arrays. Nothing else takes a key.
- `apply_x(params, inputs..., *, options) -> array` is pure. Leading batch axes are free
  and agree with `vmap`. The result has the dtype of `x` (lookups: `dtype`, by default
  the table's); arithmetic is in float32 or wider and rounded once.

Sinusoids and rotary embeddings have no parameters, hence no `init_*`.

Out of range (ids, positions): what shapes or Python numbers tell is a `ValueError`
while tracing; an array outside every transformation, wholly on this host's devices, is
checked and is a `ValueError` too; any other array gives rows of NaN, which add nothing
to a gradient.
"""

from ._angles.cos_sin import rope_cos_sin as rope_cos_sin
from ._angles.cos_sin import rope_cos_sin_from_positions as rope_cos_sin_from_positions
from ._angles.cos_sin import rope_cos_sin_table as rope_cos_sin_table
from ._models.extra_tokens import insert_tokens as insert_tokens
from ._models.packed_vision import (
    apply_packed_vision_embedding as apply_packed_vision_embedding,
)
from ._models.text import TextEmbeddingParams as TextEmbeddingParams
from ._models.text import apply_text_embedding as apply_text_embedding
from ._models.text import init_text_embedding as init_text_embedding
from ._models.vision import VisionEmbeddingParams as VisionEmbeddingParams
from ._models.vision import apply_vision_embedding as apply_vision_embedding
from ._models.vision import init_vision_embedding as init_vision_embedding
from ._patches.embedding import PatchEmbeddingParams as PatchEmbeddingParams
from ._patches.embedding import apply_patch_embedding as apply_patch_embedding
from ._patches.embedding import apply_patch_projection as apply_patch_projection
from ._patches.embedding import init_patch_embedding as init_patch_embedding
from ._patches.image_size import (
    image_size_for_max_patches as image_size_for_max_patches,
)
from ._patches.kernel import patch_kernel_from_weight as patch_kernel_from_weight
from ._patches.kernel import patch_weight_from_kernel as patch_weight_from_kernel
from ._patches.pack import PackedPatches as PackedPatches
from ._patches.pack import pack_patches as pack_patches
from ._patches.pack import unpack_patches as unpack_patches
from ._patches.pad import PaddedImage as PaddedImage
from ._patches.pad import pad_image as pad_image
from ._patches.patchify import patchify as patchify
from ._patches.patchify import unpatchify as unpatchify
from ._patches.resize import ResizedPatchWeight as ResizedPatchWeight
from ._patches.resize import resize_patch_kernel as resize_patch_kernel
from ._patches.resize import resize_patch_weight as resize_patch_weight
from ._positions import padded_positions as padded_positions
from ._positions import positions_from_grid as positions_from_grid
from ._positions import positions_from_lengths as positions_from_lengths
from ._positions import positions_from_mask as positions_from_mask
from ._positions import positions_from_segment_ids as positions_from_segment_ids
from ._resizing.at import resize_positions_at as resize_positions_at
from ._resizing.grid import resize_positions as resize_positions
from ._resizing.matrix import resize_matrix as resize_matrix
from ._resizing.matrix import resize_taps as resize_taps
from ._rope.apply import apply_rope as apply_rope
from ._rope.axes import alternating_axes as alternating_axes
from ._rope.axes import axial_rope as axial_rope
from ._rope.axes import chunked_axes as chunked_axes
from ._rope.axes import strided_axes as strided_axes
from ._rope.factors import longrope_attention_factor as longrope_attention_factor
from ._rope.factors import query_temperature as query_temperature
from ._rope.factors import yarn_attention_factor as yarn_attention_factor
from ._rope.factors import yarn_softmax_factor as yarn_softmax_factor
from ._rope.frequencies import default_inv_freq as default_inv_freq
from ._rope.frequencies import dynamic_ntk_inv_freq as dynamic_ntk_inv_freq
from ._rope.frequencies import linear_inv_freq as linear_inv_freq
from ._rope.frequencies import ntk_inv_freq as ntk_inv_freq
from ._rope.frequencies import proportional_inv_freq as proportional_inv_freq
from ._rope.frequencies import rope_inv_freq as rope_inv_freq
from ._rope.frequencies_by_band import llama3_inv_freq as llama3_inv_freq
from ._rope.frequencies_by_band import longrope_inv_freq as longrope_inv_freq
from ._rope.frequencies_by_band import yarn_inv_freq as yarn_inv_freq
from ._rope.layout import channel_permutation as channel_permutation
from ._rope.layout import permute_qk as permute_qk
from ._rope.mixed import MixedRopeParams as MixedRopeParams
from ._rope.mixed import apply_mixed_rope as apply_mixed_rope
from ._rope.mixed import init_mixed_rope as init_mixed_rope
from ._rope.normalized import normalized_coordinates as normalized_coordinates
from ._rope.normalized import normalized_cos_sin as normalized_cos_sin
from ._rope.record import Rope as Rope
from ._rope.record import StackedRopes as StackedRopes
from ._rope.record import stack_ropes as stack_ropes
from ._rope.rotation import apply_rotary as apply_rotary
from ._rope.rotation import rerotate as rerotate
from ._rope.rotation import rotary_cos_sin as rotary_cos_sin
from ._rope.rotation import rotate as rotate
from ._rope.xpos import xpos_cos_sin as xpos_cos_sin
from ._sinusoids.detr import detr_sinusoids as detr_sinusoids
from ._sinusoids.fourier import gaussian_fourier_features as gaussian_fourier_features
from ._sinusoids.grid import grid_sinusoids as grid_sinusoids
from ._sinusoids.positional_encoding import (
    apply_positional_encoding as apply_positional_encoding,
)
from ._sinusoids.positional_encoding import positional_encoding as positional_encoding
from ._sinusoids.sinusoids import sinusoids as sinusoids
from ._tables.learned import (
    LearnedPositionalEmbeddingParams as LearnedPositionalEmbeddingParams,
)
from ._tables.learned import (
    apply_learned_positional_embedding as apply_learned_positional_embedding,
)
from ._tables.learned import (
    init_learned_positional_embedding as init_learned_positional_embedding,
)
from ._tables.token import TokenEmbeddingParams as TokenEmbeddingParams
from ._tables.token import apply_token_embedding as apply_token_embedding
from ._tables.token import apply_token_unembedding as apply_token_unembedding
from ._tables.token import init_token_embedding as init_token_embedding
