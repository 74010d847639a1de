"""Stateless embeddings over explicit parameters.

Functions come in pairs:

- `init_x(key, sizes..., *, options) -> XParams` draws parameters, a `NamedTuple` of
  arrays. No other function takes a key.
- `apply_x(params, inputs..., *, options) -> array` is pure. It takes any leading batch
  axes and agrees with `vmap`. The result has the dtype of `x`; the result of a lookup
  has `dtype`, by default that of the table. Arithmetic is in float32 or wider and
  rounded once.

Sinusoids and most rotary embeddings have no parameters, and so no `init_*`.

Ids and positions out of range are a `ValueError` where they are known: while tracing,
if shapes or Python numbers show them, and in an array outside every transformation that
is wholly on this host's devices. In any other array they give rows of NaN, which add
nothing to a gradient.
"""

# Tokens
from ._tables.token import (
    TokenEmbeddingParams as TokenEmbeddingParams,
    apply_token_embedding as apply_token_embedding,
    init_token_embedding as init_token_embedding,
)
from ._tables.unembedding import apply_token_unembedding as apply_token_unembedding

# Losses and decoding without logits
from ._heads.cross_entropy import (
    unembedding_cross_entropy as unembedding_cross_entropy,
)
from ._heads.log_probs import unembedding_log_probs as unembedding_log_probs
from ._heads.decoding import (
    unembedding_argmax as unembedding_argmax,
    unembedding_top_k as unembedding_top_k,
)

# Tables by the rows that a step reads: gradients and updates
from ._tables.selected import SelectedRows as SelectedRows
from ._rows.select import select_rows as select_rows
from ._rows.differentiate import row_value_and_grad as row_value_and_grad
from ._rows.gradient import (
    RowGradient as RowGradient,
    dense_gradient as dense_gradient,
    row_gradient as row_gradient,
)
from ._rows.sums import (
    local_row_gradient as local_row_gradient,
    psum_row_gradient as psum_row_gradient,
    sum_row_gradients as sum_row_gradients,
)
from ._rows.update import (
    update_rows as update_rows,
    update_rows_lazily as update_rows_lazily,
)

# Several tables in one array, and tables of 8-bit floats
from ._fused.embedding import (
    FusedEmbeddingParams as FusedEmbeddingParams,
    apply_fused_embedding as apply_fused_embedding,
    init_fused_embedding as init_fused_embedding,
)
from ._fused.offsets import fused_row_offsets as fused_row_offsets
from ._fused.quantized import (
    QuantizedTableParams as QuantizedTableParams,
    apply_quantized_embedding as apply_quantized_embedding,
)
from ._fused.quantize import quantize_table as quantize_table

# Vectors for each token and layer
from ._fused.per_layer import (
    PerLayerEmbeddingParams as PerLayerEmbeddingParams,
    apply_per_layer_embedding as apply_per_layer_embedding,
    init_per_layer_embedding as init_per_layer_embedding,
)

# Vocabularies that grow
from ._vocabulary.resize import resize_vocabulary as resize_vocabulary
from ._vocabulary.pad import pad_vocabulary as pad_vocabulary
from ._vocabulary.freeze import freeze_rows as freeze_rows
from ._vocabulary.optimizer_state import (
    resize_optimizer_state as resize_optimizer_state,
)

# Positions, as integers
from ._positions.masks import (
    padded_positions as padded_positions,
    positions_from_mask as positions_from_mask,
)
from ._positions.documents import (
    positions_from_lengths as positions_from_lengths,
    positions_from_segment_ids as positions_from_segment_ids,
    segment_ids_from_lengths as segment_ids_from_lengths,
)
from ._positions.cumulative import (
    positions_from_cumulative_lengths as positions_from_cumulative_lengths,
    positions_of_tokens as positions_of_tokens,
    segment_ids_from_cumulative_lengths as segment_ids_from_cumulative_lengths,
    segment_ids_of_tokens as segment_ids_of_tokens,
)
from ._positions.context_parallel import (
    context_parallel_indices as context_parallel_indices,
    context_parallel_permutation as context_parallel_permutation,
)
from ._positions.document_zigzag import (
    document_zigzag_indices as document_zigzag_indices,
)
from ._positions.grid import positions_from_grid as positions_from_grid
from ._positions.multimodal.rule import MultimodalRule as MultimodalRule
from ._positions.multimodal.positions import (
    multimodal_positions as multimodal_positions,
)

# Hashed n-grams: rows of large tables
from ._ngrams.record import NgramHashing as NgramHashing
from ._ngrams.row_ids import (
    ngram_row_ids as ngram_row_ids,
    ngram_signs as ngram_signs,
)
from ._ngrams.context import ngram_context as ngram_context
from ._ngrams.engram import engram_hashings as engram_hashings
from ._ngrams.qwen4_exp import qwen4_exp_hashings as qwen4_exp_hashings
from ._ngrams.blt import blt_hashing as blt_hashing
from ._ngrams.canine import canine_hashing as canine_hashing
from ._ngrams.over_encoding import over_encoding_hashing as over_encoding_hashing
from ._ngrams.nanogpt import nanogpt_hashing as nanogpt_hashing

# Learned positions, and their tables resized
from ._tables.host import (
    fetch_host_rows as fetch_host_rows,
    table_on_host as table_on_host,
    write_host_rows as write_host_rows,
)
from ._tables.learned import (
    LearnedPositionalEmbeddingParams as LearnedPositionalEmbeddingParams,
    apply_learned_positional_embedding as apply_learned_positional_embedding,
    init_learned_positional_embedding as init_learned_positional_embedding,
)
from ._resizing.resampling import Resampling as Resampling
from ._resizing.grid import resize_positions as resize_positions
from ._resizing.at import resize_positions_at as resize_positions_at

# Sinusoids
from ._sinusoids.positional_encoding import (
    apply_positional_encoding as apply_positional_encoding,
)
from ._sinusoids.sinusoids import sinusoids as sinusoids
from ._sinusoids.grid import grid_sinusoids as grid_sinusoids
from ._sinusoids.detr import detr_sinusoids as detr_sinusoids
from ._sinusoids.fourier import gaussian_fourier_features as gaussian_fourier_features

# Rotary embeddings: frequencies, and the factors that go with them
from ._rope.frequencies import (
    default_inv_freq as default_inv_freq,
    rope_inv_freq as rope_inv_freq,
)
from ._rope.scaled_frequencies import (
    dynamic_ntk_inv_freq as dynamic_ntk_inv_freq,
    linear_inv_freq as linear_inv_freq,
    mixed_ntk_inv_freq as mixed_ntk_inv_freq,
    ntk_inv_freq as ntk_inv_freq,
    proportional_inv_freq as proportional_inv_freq,
)
from ._rope.frequencies_by_band import (
    llama3_inv_freq as llama3_inv_freq,
    longrope_inv_freq as longrope_inv_freq,
    yarn_inv_freq as yarn_inv_freq,
)
from ._rope.factors import (
    longrope_attention_factor as longrope_attention_factor,
    query_temperature as query_temperature,
    yarn_attention_factor as yarn_attention_factor,
    yarn_softmax_factor as yarn_softmax_factor,
)

# Rotary embeddings: cos and sin, and the rotation by them
from ._rope.rope_cos_sin import (
    rope_cos_sin as rope_cos_sin,
    rope_cos_sin_from_positions as rope_cos_sin_from_positions,
    rope_cos_sin_table as rope_cos_sin_table,
)
from ._rope.apply import apply_rope as apply_rope
from ._rope.xpos import xpos_cos_sin as xpos_cos_sin

# Rotary embeddings: all settings in one record
from ._rope.record import Rope as Rope
from ._rope.stack import (
    StackedRopes as StackedRopes,
    stack_ropes as stack_ropes,
)
from ._rope.by_length import (
    RopePerRow as RopePerRow,
    RopesByLength as RopesByLength,
    rope_by_length as rope_by_length,
)
from ._rope.rotary_cos_sin import rotary_cos_sin as rotary_cos_sin
from ._rope.rotation import (
    apply_rotary as apply_rotary,
    rotate as rotate,
)
from ._rope.rerotate import rerotate as rerotate
from ._rope.layout import (
    channel_permutation as channel_permutation,
    permute_qk as permute_qk,
)

# Rotary embeddings of images and videos
from ._rope.axial import axial_rope as axial_rope
from ._rope.axes import (
    alternating_axes as alternating_axes,
    chunked_axes as chunked_axes,
    strided_axes as strided_axes,
)
from ._rope.normalized import (
    normalized_coordinates as normalized_coordinates,
    normalized_cos_sin as normalized_cos_sin,
)
from ._rope.mixed import (
    MixedRopeParams as MixedRopeParams,
    apply_mixed_rope as apply_mixed_rope,
    init_mixed_rope as init_mixed_rope,
)

# Patches of images and videos
from ._patches.params import (
    PatchEmbeddingParams as PatchEmbeddingParams,
    init_patch_embedding as init_patch_embedding,
)
from ._patches.embedding import (
    apply_patch_embedding as apply_patch_embedding,
    apply_patch_projection as apply_patch_projection,
)
from ._patches.patch_grid import patch_grid as patch_grid
from ._patches.patchify import (
    patchify as patchify,
    unpatchify as unpatchify,
)
from ._patches.pad import (
    PaddedImage as PaddedImage,
    pad_image as pad_image,
)
from ._patches.pack import (
    PackedPatches as PackedPatches,
    pack_patches as pack_patches,
    unpack_patches as unpack_patches,
)
from ._patches.image_size import (
    image_size_for_max_patches as image_size_for_max_patches,
)
from ._patches.kernel import (
    patch_kernel_from_weight as patch_kernel_from_weight,
    patch_weight_from_kernel as patch_weight_from_kernel,
)
from ._patches.resize import (
    ResizedPatchWeight as ResizedPatchWeight,
    resize_patch_kernel as resize_patch_kernel,
    resize_patch_weight as resize_patch_weight,
)

# Embeddings of whole models
from ._models.text import (
    TextEmbeddingParams as TextEmbeddingParams,
    apply_text_embedding as apply_text_embedding,
    init_text_embedding as init_text_embedding,
)
from ._models.vision import (
    VisionEmbeddingParams as VisionEmbeddingParams,
    apply_vision_embedding as apply_vision_embedding,
    init_vision_embedding as init_vision_embedding,
)
from ._models.packed_vision import (
    apply_packed_vision_embedding as apply_packed_vision_embedding,
)
from ._models.extra_tokens import insert_tokens as insert_tokens

# Position biases: their forms
from ._biases.core.record import PositionBias as PositionBias
from ._biases.ends import (
    apply_position_bias as apply_position_bias,
    init_position_bias as init_position_bias,
    position_bias_score_mod as position_bias_score_mod,
)
from ._biases.channels import (
    PositionChannels as PositionChannels,
    position_bias_channels as position_bias_channels,
)
from ._biases.append import append_channels as append_channels
from ._biases.lift import lift_score_mod as lift_score_mod
from ._biases.core.sum import SumBias as SumBias

# Position biases by the distances of a sequence
from ._biases.core.table import TableBiasParams as TableBiasParams
from ._biases.sequences.alibi import (
    AlibiBias as AlibiBias,
    alibi_slopes as alibi_slopes,
)
from ._biases.sequences.box import BoxBias as BoxBias
from ._biases.sequences.box_relation import (
    BoxRelationBias as BoxRelationBias,
    BoxRelationBiasParams as BoxRelationBiasParams,
)
from ._biases.sequences.clipped import (
    ClippedDistanceBias as ClippedDistanceBias,
    clipped_distances as clipped_distances,
)
from ._biases.sequences.gate import (
    BiasGateParams as BiasGateParams,
    apply_bias_gate as apply_bias_gate,
    init_bias_gate as init_bias_gate,
)
from ._biases.sequences.gated import (
    GatedBias as GatedBias,
    GatedBiasParams as GatedBiasParams,
)
from ._biases.sequences.global_blocks import (
    GlobalBlocks as GlobalBlocks,
    global_blocks as global_blocks,
)
from ._biases.sequences.hidden_state import (
    HiddenStateBias as HiddenStateBias,
    HiddenStateBiasParams as HiddenStateBiasParams,
)
from ._biases.sequences.segment import SegmentBias as SegmentBias
from ._biases.sequences.fire import (
    FireBias as FireBias,
    FireBiasParams as FireBiasParams,
)
from ._biases.sequences.kerple import (
    KerpleBias as KerpleBias,
    KerpleBiasParams as KerpleBiasParams,
)
from ._biases.sequences.sandwich import SandwichBias as SandwichBias
from ._biases.sequences.t5 import T5Bias as T5Bias
from ._biases.sequences.t5_bucket import (
    relative_position_bucket as relative_position_bucket,
)

# Vectors of pairs of tokens
from ._biases.sequences.pair_encoding import (
    PairEncodingParams as PairEncodingParams,
    apply_pair_encoding as apply_pair_encoding,
    init_pair_encoding as init_pair_encoding,
)

# Position biases by the places of a grid
from ._biases.windows.decomposed import (
    DecomposedBias as DecomposedBias,
    DecomposedBiasParams as DecomposedBiasParams,
)
from ._biases.windows.log_coordinate import (
    LogCoordinateBias as LogCoordinateBias,
    LogCoordinateBiasParams as LogCoordinateBiasParams,
)
from ._biases.windows.log_coordinates import log_coordinates as log_coordinates
from ._biases.windows.offset import OffsetBias as OffsetBias
from ._biases.windows.offset_index import offset_index as offset_index
from ._biases.windows.resize import resize_relative_table as resize_relative_table
from ._biases.windows.window import WindowBias as WindowBias
from ._biases.windows.window_index import window_index as window_index

# Position biases that read queries and keys
from ._biases.queries.gemma_audio import (
    GemmaAudioBias as GemmaAudioBias,
    GemmaAudioBiasParams as GemmaAudioBiasParams,
)
from ._biases.queries.profile import (
    ProfileBias as ProfileBias,
    ProfileBiasParams as ProfileBiasParams,
)
from ._biases.queries.contextual import (
    ContextualPositionBiasParams as ContextualPositionBiasParams,
    apply_contextual_position_bias as apply_contextual_position_bias,
    init_contextual_position_bias as init_contextual_position_bias,
)
from ._biases.queries.forget_gate import (
    ForgetGateParams as ForgetGateParams,
    apply_forget_gate as apply_forget_gate,
    cumulate_log_gates as cumulate_log_gates,
    init_forget_gate as init_forget_gate,
)
from ._biases.queries.forgetting import ForgettingBias as ForgettingBias
from ._biases.queries.relative_key import (
    RelativeKeyBias as RelativeKeyBias,
    RelativeKeyParams as RelativeKeyParams,
)
from ._biases.queries.relative_value import (
    RelativeValueParams as RelativeValueParams,
    apply_relative_values as apply_relative_values,
    init_relative_values as init_relative_values,
)
from ._biases.queries.disentangled import (
    DisentangledBias as DisentangledBias,
    DisentangledParams as DisentangledParams,
)
from ._biases.queries.relative_table import (
    project_relative_table as project_relative_table,
)
from ._biases.queries.disentangled_bucket import (
    disentangled_bucket as disentangled_bucket,
)
from ._biases.queries.temperature import inkling_temperature as inkling_temperature
from ._biases.queries.transformer_xl import (
    TransformerXLBias as TransformerXLBias,
    TransformerXLBiasParams as TransformerXLBiasParams,
)
