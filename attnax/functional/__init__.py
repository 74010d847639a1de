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

from ._detr_sinusoids import detr_sinusoids as detr_sinusoids
from ._extra_tokens import insert_tokens as insert_tokens
from ._fourier_features import (
    gaussian_fourier_features as gaussian_fourier_features,
)
from ._grid_sinusoids import grid_sinusoids as grid_sinusoids
from ._image_size import image_size_for_max_patches as image_size_for_max_patches
from ._learned import (
    LearnedPositionalEmbeddingParams as LearnedPositionalEmbeddingParams,
)
from ._learned import (
    apply_learned_positional_embedding as apply_learned_positional_embedding,
)
from ._learned import (
    init_learned_positional_embedding as init_learned_positional_embedding,
)
from ._pack_patches import PackedPatches as PackedPatches
from ._pack_patches import pack_patches as pack_patches
from ._pack_patches import unpack_patches as unpack_patches
from ._pad_image import PaddedImage as PaddedImage
from ._pad_image import pad_image as pad_image
from ._patch import PatchEmbeddingParams as PatchEmbeddingParams
from ._patch import apply_patch_embedding as apply_patch_embedding
from ._patch import apply_patch_projection as apply_patch_projection
from ._patch import init_patch_embedding as init_patch_embedding
from ._patch_kernel import patch_kernel_from_weight as patch_kernel_from_weight
from ._patch_kernel import patch_weight_from_kernel as patch_weight_from_kernel
from ._patch_resize import ResizedPatchWeight as ResizedPatchWeight
from ._patch_resize import resize_patch_kernel as resize_patch_kernel
from ._patch_resize import resize_patch_weight as resize_patch_weight
from ._patchify import patchify as patchify
from ._patchify import unpatchify as unpatchify
from ._positions import padded_positions as padded_positions
from ._positions import positions_from_grid as positions_from_grid
from ._positions import positions_from_lengths as positions_from_lengths
from ._positions import positions_from_mask as positions_from_mask
from ._positions import positions_from_segment_ids as positions_from_segment_ids
from ._resize import resize_positions as resize_positions
from ._resize_at import resized_positions_at as resized_positions_at
from ._resize_weights import resize_matrix as resize_matrix
from ._resize_weights import resize_taps as resize_taps
from ._rope import Rope as Rope
from ._rope import StackedRopes as StackedRopes
from ._rope import stack_ropes as stack_ropes
from ._rope_attention_factor import (
    longrope_attention_factor as longrope_attention_factor,
)
from ._rope_attention_factor import query_temperature as query_temperature
from ._rope_attention_factor import yarn_attention_factor as yarn_attention_factor
from ._rope_attention_factor import yarn_softmax_factor as yarn_softmax_factor
from ._rope_axes import alternating_axes as alternating_axes
from ._rope_axes import axial_rope as axial_rope
from ._rope_axes import chunked_axes as chunked_axes
from ._rope_axes import strided_axes as strided_axes
from ._rope_cos_sin import rope_cos_sin as rope_cos_sin
from ._rope_cos_sin import rope_cos_sin_from_positions as rope_cos_sin_from_positions
from ._rope_cos_sin import rope_cos_sin_table as rope_cos_sin_table
from ._rope_frequencies import default_inv_freq as default_inv_freq
from ._rope_frequencies import dynamic_ntk_inv_freq as dynamic_ntk_inv_freq
from ._rope_frequencies import linear_inv_freq as linear_inv_freq
from ._rope_frequencies import ntk_inv_freq as ntk_inv_freq
from ._rope_frequencies import proportional_inv_freq as proportional_inv_freq
from ._rope_frequencies import rope_inv_freq as rope_inv_freq
from ._rope_frequencies_by_band import llama3_inv_freq as llama3_inv_freq
from ._rope_frequencies_by_band import longrope_inv_freq as longrope_inv_freq
from ._rope_frequencies_by_band import yarn_inv_freq as yarn_inv_freq
from ._rope_layout import channel_permutation as channel_permutation
from ._rope_layout import permute_qk as permute_qk
from ._rope_mixed import MixedRopeParams as MixedRopeParams
from ._rope_mixed import apply_mixed_rope as apply_mixed_rope
from ._rope_mixed import init_mixed_rope as init_mixed_rope
from ._rope_normalized import normalized_coordinates as normalized_coordinates
from ._rope_normalized import normalized_cos_sin as normalized_cos_sin
from ._rope_rotate import apply_rope as apply_rope
from ._rope_xpos import xpos_cos_sin as xpos_cos_sin
from ._rotation import apply_rotation as apply_rotation
from ._rotation import rerotate as rerotate
from ._rotation import rotate as rotate
from ._rotation import rotation as rotation
from ._sinusoidal import apply_positional_encoding as apply_positional_encoding
from ._sinusoidal import positional_encoding as positional_encoding
from ._sinusoids import sinusoids as sinusoids
from ._text import TextEmbeddingParams as TextEmbeddingParams
from ._text import apply_text_embedding as apply_text_embedding
from ._text import init_text_embedding as init_text_embedding
from ._token import TokenEmbeddingParams as TokenEmbeddingParams
from ._token import apply_token_embedding as apply_token_embedding
from ._token import apply_token_unembedding as apply_token_unembedding
from ._token import init_token_embedding as init_token_embedding
from ._vision import VisionEmbeddingParams as VisionEmbeddingParams
from ._vision import apply_vision_embedding as apply_vision_embedding
from ._vision import init_vision_embedding as init_vision_embedding
from ._vision_packed import (
    apply_packed_vision_embedding as apply_packed_vision_embedding,
)
