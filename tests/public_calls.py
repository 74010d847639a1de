"""A call of every public callable, as cheap as can be, that tests vary."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import bias_calls
import jax
import jax.numpy as jnp
import numpy as np
import optax
from frequency_methods import FURTHER, WIDTH
from frequency_methods import METHODS as FREQUENCIES

import attnax.functional as F
from attnax import interop, nn

SURFACE = {"functional": F, "nn": nn, "interop": interop}

KEY = jax.random.key(0)
IDS = np.array([[0, 1, 2]])
X = np.ones((1, 3, 4), np.float32)
HEADS = np.ones((1, 3, 2, 4), np.float32)
TURNS = np.ones((1, 3, 1, 2), np.float32)  # cos or sin of HEADS
PIXELS = np.zeros((6, 2), np.float32)
COORDINATES = np.zeros((6, 2), np.int32)
MASK = np.array([[True, True, False]])
IMAGE = np.ones((4, 6, 1), np.float32)
INV_FREQ = np.array([1.0, 0.01])
ROPE = F.Rope(INV_FREQ)
BY_LENGTH = F.RopesByLength([ROPE], (8,))
HASHING = F.NgramHashing([2], [[3, 5]], [97], vocab_size=9)
TOKEN = F.TokenEmbeddingParams(np.ones((5, 4), np.float32))
FUSED = F.FusedEmbeddingParams(np.ones((6, 4), np.float32))
QUANTIZED = F.QuantizedTableParams(
    np.ones((5, 4), jnp.float8_e4m3fn), np.ones((5, 2), np.float32)
)
PER_LAYER = F.PerLayerEmbeddingParams(
    np.ones((5, 6), np.float32), np.ones((4, 6), np.float32), np.ones(2, np.float32)
)
LEARNED = F.LearnedPositionalEmbeddingParams(np.ones((6, 4), np.float32))
ROW_GRADIENT = F.RowGradient(np.array([1, 4, 5]), np.eye(3, 4, dtype=np.float32))
ADAGRAD = optax.adagrad(0.1)
ROW_UPDATE = {
    "optimizer": ADAGRAD,
    "gradients": ROW_GRADIENT,
    "opt_state": ADAGRAD.init(TOKEN.weight),
    "params": TOKEN.weight,
}
TEXT = F.TextEmbeddingParams(TOKEN, LEARNED, TOKEN)
PATCH = F.PatchEmbeddingParams(np.ones((4, 4), np.float32), np.ones(4, np.float32))
ONE_TOKEN = np.ones((1, 4), np.float32)
VISION = F.VisionEmbeddingParams(
    PATCH,
    F.LearnedPositionalEmbeddingParams(np.ones((7, 4), np.float32)),
    ONE_TOKEN,
    ONE_TOKEN,
    ONE_TOKEN[0],
)
PLAIN_VISION = VISION._replace(positions=LEARNED, tokens_with_position=None)
PACKED = F.PackedPatches(
    np.ones((1, 3, 4), np.float32),
    np.zeros((1, 3, 2), np.int32),
    MASK,
    np.array([[1, 2]]),
)
ON_HOST = F.table_on_host(np.ones((3, 4), np.float32))
HEAD = {"weight": TOKEN.weight, "hidden": X, "chunk_size": 2}
RESAMPLING = F.Resampling("bilinear", antialias=False)
SIZES = {"patch_size": 2, "num_channels": 1, "d_model": 4}
YARN = {"factor": 2.0, "original_max_len": 64}
CONFIG = {"model_type": "llama", "head_dim": 4, "num_hidden_layers": 1}
GPT2 = {"wte.weight": TOKEN.weight, "wpe.weight": LEARNED.weight}
SIGLIP = {
    "embeddings.patch_embedding.weight": np.ones((4, 3, 2, 2), np.float32),
    "embeddings.patch_embedding.bias": PATCH.bias,
    "embeddings.position_embedding.weight": LEARNED.weight,
}
LLAMA = {"embed_tokens.weight": TOKEN.weight}


class Call(NamedTuple):
    """A call that is valid.

    Attributes:
        function: What is called.
        arguments: Its arguments by name; those that are missing have a default.
        name: What its errors begin with.
    """

    function: Callable[..., Any]
    arguments: Mapping[str, Any]
    name: str

    def __call__(self, **changed):
        return self.function(**{**self.arguments, **changed})

    def names(self):
        """Names of all arguments, the ones that have a default among them."""
        return [p for p in inspect.signature(self.function).parameters]


def zeros_like_params(params):
    """The `init` of an optimizer with a moment for each number."""
    return jax.tree.map(jnp.zeros_like, params)


FUNCTIONAL = {
    **{
        method.function.__name__: {"head_dim": WIDTH, **method.settings}
        for method in (FREQUENCIES | FURTHER).values()
    },
    "FusedEmbeddingParams": FUSED._asdict(),
    "LearnedPositionalEmbeddingParams": {"weight": LEARNED.weight},
    "MultimodalRule": {"merge_size": 2, "positions_per_second": 4.0},
    "MixedRopeParams": {"freqs": np.ones((2, 2, 2), np.float32)},
    "PackedPatches": PACKED._asdict(),
    "PaddedImage": {"image": IMAGE, "pixel_mask": MASK, "patch_mask": MASK},
    "PatchEmbeddingParams": PATCH._asdict(),
    "PerLayerEmbeddingParams": PER_LAYER._asdict(),
    "QuantizedTableParams": QUANTIZED._asdict(),
    "ResizedPatchWeight": {"weight": PATCH.weight, "residual": PATCH.weight},
    "RowGradient": ROW_GRADIENT._asdict(),
    "Resampling": {"method": "bilinear", "antialias": False},
    "Rope": {"inv_freq": INV_FREQ},
    "RopePerRow": F.rope_by_length(BY_LENGTH, [4])._asdict(),
    "RopesByLength": {"ropes": [ROPE], "max_lengths": (8,)},
    "StackedRopes": F.stack_ropes([ROPE])._asdict(),
    "TextEmbeddingParams": TEXT._asdict(),
    "TokenEmbeddingParams": TOKEN._asdict(),
    "VisionEmbeddingParams": VISION._asdict(),
    "alternating_axes": {"sections": (1, 1, 1)},
    "apply_fused_embedding": {"params": FUSED, "ids": IDS, "row_counts": (1, 2, 3)},
    "apply_learned_positional_embedding": {"params": LEARNED, "x": X},
    "apply_mixed_rope": {
        "params": F.MixedRopeParams(np.ones((2, 2, 2), np.float32)),
        "x": HEADS,
        "positions": np.zeros((1, 3, 2), np.float32),
    },
    "apply_packed_vision_embedding": {
        "params": PLAIN_VISION,
        "packed": PACKED,
        "table_grid": (2, 3),
        "resampling": RESAMPLING,
    },
    "apply_patch_embedding": {"params": PATCH, "image": IMAGE, "patch_size": 2},
    "apply_patch_projection": {"params": PATCH, "patches": PACKED.patches},
    "apply_per_layer_embedding": {"params": PER_LAYER, "token_ids": IDS, "x": X},
    "apply_positional_encoding": {"x": X},
    "apply_quantized_embedding": {"params": QUANTIZED, "token_ids": IDS},
    "apply_rope": {"x": HEADS, "cos": TURNS, "sin": TURNS},
    "apply_rotary": {
        "rope": ROPE,
        "x": HEADS,
        "cos": TURNS[..., 0, :],
        "sin": TURNS[..., 0, :],
    },
    "apply_text_embedding": {
        "params": TEXT,
        "token_ids": IDS,
        "token_type_ids": IDS,
        "positions": IDS,
    },
    "apply_token_embedding": {"params": TOKEN, "token_ids": IDS},
    "apply_token_unembedding": {"params": TOKEN, "x": X},
    "apply_vision_embedding": {
        "params": VISION,
        "image": IMAGE,
        "patch_size": 2,
        "table_grid": (2, 3),
        "masked": np.zeros(6, bool),
    },
    "axial_rope": {"dims": (4, 4)},
    "channel_permutation": {"source": ROPE, "target": ROPE, "head_dim": 4},
    "chunked_axes": {"sections": (1, 1), "num_axes": 2},
    "context_parallel_indices": {
        "seq_len": 4,
        "num_shards": 2,
        "shard_index": 0,
        "order": "contiguous",
    },
    "context_parallel_permutation": {
        "seq_len": 4,
        "num_shards": 2,
        "order": "zigzag",
    },
    "detr_sinusoids": {"mask": np.ones((2, 3), bool), "d_model": 4},
    "document_zigzag_indices": {
        "cumulative_lengths": [0, 4],
        "total_len": 4,
        "num_shards": 2,
        "shard_index": 0,
    },
    "freeze_rows": {"weight": TOKEN.weight, "frozen": 2},
    "fused_row_offsets": {"row_counts": (1, 2, 3)},
    "gaussian_fourier_features": {
        "coordinates": PIXELS,
        "matrix": np.ones((2, 3), np.float32),
    },
    "grid_sinusoids": {"coordinates": COORDINATES, "d_model": 8},
    "image_size_for_max_patches": {
        "image_size": (8, 8),
        "patch_size": 2,
        "max_patches": 4,
    },
    "init_fused_embedding": {"key": KEY, "row_counts": (1, 2, 3), "d_model": 4},
    "init_learned_positional_embedding": {
        "key": KEY,
        "num_positions": 6,
        "d_model": 4,
    },
    "init_mixed_rope": {"key": KEY, "num_heads": 2, "head_dim": 4},
    "init_patch_embedding": {"key": KEY, **SIZES},
    "init_per_layer_embedding": {
        "key": KEY,
        "vocab_size": 5,
        "d_model": 4,
        "num_layers": 3,
        "d_layer": 2,
    },
    "init_text_embedding": {
        "key": KEY,
        "vocab_size": 5,
        "d_model": 4,
        "num_positions": 6,
    },
    "init_token_embedding": {"key": KEY, "vocab_size": 5, "d_model": 4},
    "init_vision_embedding": {"key": KEY, **SIZES, "table_grid": (2, 3)},
    "insert_tokens": {"x": X, "tokens": ONE_TOKEN},
    "longrope_attention_factor": YARN,
    "NgramHashing": {
        "ngram_sizes": [2],
        "multipliers": [[3, 5]],
        "moduli": [97],
        "vocab_size": 9,
    },
    "blt_hashing": {"num_rows": 97},
    "canine_hashing": {"num_rows": 97},
    "engram_hashings": {"layer_ids": [1], "min_rows": 40, "vocab_size": 9},
    "nanogpt_hashing": {"num_rows": 40},
    "ngram_context": {"token_ids": IDS, "hashing": HASHING},
    "ngram_row_ids": {"token_ids": IDS, "hashing": HASHING},
    "ngram_signs": {"token_ids": IDS, "hashing": HASHING},
    "normalized_coordinates": {"grid": (2, 3)},
    "normalized_cos_sin": {"coordinates": PIXELS, "head_dim": 4, "base": 100.0},
    "over_encoding_hashing": {"row_counts": [7, 11], "vocab_size": 5},
    "pack_patches": {"images": [IMAGE], "patch_size": 2, "max_patches": 8},
    "pad_image": {"image": IMAGE, "patch_size": 4},
    "pad_vocabulary": {"weight": TOKEN.weight, "multiple": 4},
    "padded_positions": {"mask": MASK, "first_position": 2, "padding_position": 1},
    "patch_kernel_from_weight": {
        "weight": PATCH.weight,
        "layout": "OIHW",
        "patch_size": 2,
    },
    "patch_weight_from_kernel": {
        "kernel": np.ones((4, 1, 2, 2), np.float32),
        "layout": "OIHW",
    },
    "multimodal_positions": {
        "rule": F.MultimodalRule(1, positions_per_second=2),
        "token_types": IDS,
        "image_grids": [[1, 1, 1]],
        "video_grids": [[1, 1, 1]],
        "seconds_per_grid": [1.0],
        "mask": MASK | True,
    },
    "dense_gradient": {"gradient": ROW_GRADIENT, "vocab_size": 5},
    "local_row_gradient": {"gradient": ROW_GRADIENT, "first_row": 2, "num_rows": 3},
    "patch_grid": {"image_size": (4, 6), "patch_size": 2},
    "patchify": {"image": IMAGE, "patch_size": 2},
    "permute_qk": {
        "array": np.ones((8, 4), np.float32),
        "num_heads": 2,
        "to": "half",
    },
    "positions_from_cumulative_lengths": {
        "cumulative_lengths": [0, 2],
        "total_len": 3,
    },
    "positions_from_grid": {"grid": (2, 4)},
    "positions_from_lengths": {"lengths": [1, 2], "total_len": 3},
    "positions_from_mask": {"mask": MASK},
    "positions_from_segment_ids": {"segment_ids": IDS},
    "positions_of_tokens": {"token_indices": [0], "cumulative_lengths": [0, 2]},
    "qwen4_exp_hashings": {
        "num_layers": 1,
        "vocab_size": 9,
        "eos_id": 1,
        "min_rows": 40,
    },
    "psum_row_gradient": {"gradient": ROW_GRADIENT, "axis_name": (), "vocab_size": 5},
    "quantize_table": {"weight": TOKEN.weight, "block_size": 2},
    "query_temperature": {"positions": IDS, "beta": 0.1, "original_max_len": 4},
    "rerotate": {"rope": ROPE, "keys": HEADS, "delta": IDS},
    "resize_optimizer_state": {
        "init": zeros_like_params,
        "state": TOKEN.weight,
        "params": TOKEN.weight,
        "new_params": np.ones((6, 4), np.float32),
    },
    "resize_patch_kernel": {
        "kernel": np.ones((4, 1, 2, 2), np.float32),
        "new_patch_size": 4,
        "layout": "OIHW",
        "resampling": RESAMPLING,
    },
    "resize_patch_weight": {
        "weight": PATCH.weight,
        "old_patch_size": 2,
        "new_patch_size": 4,
        "resampling": RESAMPLING,
    },
    "resize_positions": {
        "table": LEARNED.weight,
        "old_grid": (2, 3),
        "new_grid": (3, 4),
        "resampling": RESAMPLING,
    },
    "resize_positions_at": {
        "table": LEARNED.weight,
        "old_grid": (2, 3),
        "new_grids": [[3, 4]],
        "coordinates": np.zeros((1, 5, 2), np.int32),
        "resampling": RESAMPLING,
    },
    "rope_by_length": {"ropes": BY_LENGTH, "lengths": [4]},
    "resize_vocabulary": {"weight": TOKEN.weight, "new_size": 6, "new_rows": "mean"},
    "rope_cos_sin": {"positions": IDS, "inv_freq": INV_FREQ},
    "rope_cos_sin_from_positions": {"position_ids": IDS, "head_dim": 4},
    "rope_cos_sin_table": {"max_seq_len": 3, "head_dim": 4},
    "rope_inv_freq": {"head_dim": 4},
    "rotary_cos_sin": {"rope": ROPE, "positions": IDS},
    "rotate": {"rope": ROPE, "x": HEADS, "positions": IDS},
    "segment_ids_from_cumulative_lengths": {
        "cumulative_lengths": [0, 2],
        "total_len": 3,
    },
    "segment_ids_from_lengths": {"lengths": [1, 2], "total_len": 3},
    "segment_ids_of_tokens": {"token_indices": [0], "cumulative_lengths": [0, 2]},
    "row_gradient": {"token_ids": IDS, "cotangents": X, "vocab_size": 5},
    "row_value_and_grad": {"loss": len, "tables": len, "token_ids": len},
    "select_rows": {"weight": TOKEN.weight, "token_ids": [0, 1]},
    "sinusoids": {"positions": IDS, "d_model": 4},
    "stack_ropes": {"ropes": [ROPE]},
    "strided_axes": {"sections": (1, 1), "rotary_pairs": 2},
    "table_on_host": {"table": np.ones((3, 4), np.float32)},
    "unembedding_argmax": {**HEAD},
    "unembedding_cross_entropy": {**HEAD, "targets": IDS},
    "unembedding_log_probs": {**HEAD, "targets": IDS},
    "unembedding_top_k": {**HEAD, "k": 2},
    "sum_row_gradients": {"gradients": ROW_GRADIENT, "vocab_size": 5},
    "update_rows": ROW_UPDATE,
    "update_rows_lazily": ROW_UPDATE,
    "unpack_patches": {"packed": PACKED, "patch_size": 2},
    "unpatchify": {
        "patches": np.ones((6, 4), np.float32),
        "image_size": (4, 6),
        "patch_size": 2,
    },
    "fetch_host_rows": {"table": ON_HOST, "row_ids": [0, 2]},
    "write_host_rows": {
        "table": ON_HOST,
        "row_ids": [0, 2],
        "rows": np.ones((2, 4), np.float32),
    },
    "xpos_cos_sin": {"positions": IDS, "inv_freq": INV_FREQ},
    "yarn_attention_factor": {"factor": 2.0},
    "yarn_softmax_factor": {"factor": 2.0, "mscale_all_dim": 1.0},
    **bias_calls.CALLS,
}

T5 = {"model_type": "t5", "num_layers": 1, "num_heads": 2}
T5_TENSORS = {
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": np.ones(
        (32, 2), np.float32
    )
}
INTEROP = {
    "EmbeddingCheckpoint": {"family": "gpt2", "params": TEXT},
    "checkpoint_from_params": {
        "checkpoint": interop.params_from_checkpoint(GPT2, "gpt2")
    },
    "config_parts": {"config": CONFIG},
    "grid_sinusoid_options": {"family": "vit_mae"},
    "multimodal_rule_from_hf": {"config": {"model_type": "qwen2_vl"}},
    "params_from_checkpoint": {"source": GPT2, "family": "gpt2"},
    "position_bias_from_hf": {"config": T5, "part": "encoder"},
    "position_bias_params_from_checkpoint": {
        "source": T5_TENSORS,
        "config": T5,
        "part": "encoder",
    },
    "position_bias_parts": {"config": T5},
    "resampling": {"family": "dinov2"},
    "rope_from_hf": {"config": CONFIG},
    "ropes_by_length_from_hf": {"config": CONFIG, "max_lengths": (8,)},
    "ropes_from_hf": {"config": CONFIG},
    "sinusoid_options": {"family": "whisper"},
}

NN = {
    "FusedEmbedding": {"row_counts": (1, 2, 3), "d_model": 4, "key": KEY},
    "LearnedPositionalEmbedding": {"num_positions": 6, "d_model": 4, "key": KEY},
    "PatchEmbedding": {"image_size": (4, 6), **SIZES, "key": KEY},
    "PerLayerEmbedding": {
        "vocab_size": 5,
        "d_model": 4,
        "num_layers": 3,
        "d_layer": 2,
        "key": KEY,
    },
    "PositionalEncoding": {"max_len": 8, "d_model": 4},
    "RelativePositionBias": {"bias": bias_calls.T5, "key": KEY},
    "RotaryEmbedding": {"head_dim": 4, "max_positions": 8},
    "TextEmbedding": {"vocab_size": 5, "d_model": 4, "num_positions": 6, "key": KEY},
    "TokenEmbedding": {"vocab_size": 5, "d_model": 4, "key": KEY},
    "VisionEmbedding": {
        "image_size": (4, 6),
        **SIZES,
        "num_tokens_with_position": 0,
        "mask_token": True,
        "resampling": RESAMPLING,
        "key": KEY,
    },
}
METHODS = {
    "FusedEmbedding": {"__call__": {"ids": np.zeros((1, 3), np.int32)}},
    "LearnedPositionalEmbedding": {"__call__": {"x": X, "positions": IDS}},
    "PatchEmbedding": {"__call__": {"image": IMAGE}},
    "PerLayerEmbedding": {"__call__": {"token_ids": IDS, "x": X}},
    "PositionalEncoding": {"__call__": {"x": X}},
    "RelativePositionBias": {
        "__call__": bias_calls.PAIRS,
        "from_params": {"bias": bias_calls.T5, "params": bias_calls.TABLE},
    },
    "RotaryEmbedding": {
        "__call__": {"x": HEADS, "positions": IDS},
        "cos_sin_for_positions": {"position_ids": IDS},
        "from_rope": {"rope": ROPE},
    },
    "TextEmbedding": {
        "__call__": {"token_ids": IDS, "positions": IDS},
        "from_checkpoint": {"checkpoint": interop.params_from_checkpoint(GPT2, "gpt2")},
    },
    "TokenEmbedding": {
        "__call__": {"token_ids": IDS},
        "unembed": {"x": X},
        "cross_entropy": {"hidden": X, "targets": IDS, "chunk_size": 2},
        "from_checkpoint": {
            "checkpoint": interop.params_from_checkpoint(LLAMA, "llama")
        },
    },
    "VisionEmbedding": {
        "__call__": {"image": IMAGE, "masked": np.zeros(6, bool)},
        "from_checkpoint": {
            "checkpoint": interop.params_from_checkpoint(
                SIGLIP, "siglip_vision_model", grid=(2, 3)
            )
        },
        "packed": {"packed": PACKED},
    },
}


def _calls():
    for room, calls in (("functional", FUNCTIONAL), ("interop", INTEROP), ("nn", NN)):
        for name, arguments in calls.items():
            yield f"{room}.{name}", Call(getattr(SURFACE[room], name), arguments, name)
    yield (
        "functional.NgramHashing.padded_rows",
        Call(HASHING.padded_rows, {"multiple": 8}, "NgramHashing.padded_rows"),
    )
    biases = interop.position_bias_from_hf(T5, part="encoder")
    arguments = {"params": (bias_calls.TABLE,), "layer": 0}
    yield (
        "interop.ModelBiases.terms",
        Call(biases.terms, arguments, "ModelBiases.terms"),
    )
    for name, methods in METHODS.items():
        module = getattr(nn, name)(**NN[name])
        for method, arguments in methods.items():
            full = name if method == "__call__" else f"{name}.{method}"
            yield f"nn.{name}.{method}", Call(getattr(module, method), arguments, full)


CALLS = dict(_calls())
