"""A call of every public name of position biases, part of `public_calls`."""

import jax
import numpy as np
import paper_bias_calls

import attnax.functional as F

KEY = jax.random.key(0)
HEADS = np.ones((1, 3, 2, 4), np.float32)
T5 = F.T5Bias(2, 4, 8, bidirectional=True)
TABLE = F.TableBiasParams(np.ones((4, 2), np.float32))
GATE = F.BiasGateParams(
    np.ones((4, 8), np.float32), np.ones(8, np.float32), np.ones(2, np.float32)
)
KEYS = F.RelativeKeyBias(2, 4, left=2, right=1)
PAIRS = {"q_positions": np.arange(3), "k_positions": np.arange(3)}

SIGNED = F.AlibiBias(2, form="signed")
CHANNELS = F.position_bias_channels(
    SIGNED, None, range(3), range(3), scale=0.5, dtype=np.float32
)

CALLS = {
    **paper_bias_calls.CALLS,
    "AlibiBias": {"num_heads": 2},
    "GemmaAudioBias": {"num_heads": 2, "head_dim": 4, "d_model": 6, "left": 2},
    "GemmaAudioBiasParams": {"weight": np.ones((2, 4, 6), np.float32)},
    "PositionChannels": {"q": CHANNELS.q, "k": CHANNELS.k},
    "BiasGateParams": GATE._asdict(),
    "BoxBias": {
        "num_heads": 2,
        "num_buckets": 4,
        "max_distance": 8,
        "coordinate": "left",
    },
    # The logarithms of two programs differ in their last bit, times the scale.
    "BoxRelationBias": {"num_heads": 2, "scale": 1.0},
    "BoxRelationBiasParams": {
        "weight": np.ones((64, 2), np.float32),
        "bias": np.ones(2, np.float32),
    },
    "ClippedDistanceBias": {"num_heads": 2, "max_distance": 4},
    "GatedBias": {"bias": T5, "head_dim": 4},
    "GatedBiasParams": {"bias": TABLE, "gate": GATE},
    "GlobalBlocks": F.global_blocks([1, 1, 1], block_size=2)._asdict(),
    "HiddenStateBias": {"num_heads": 2, "d_model": 4},
    "HiddenStateBiasParams": {
        "weight": np.ones((4, 32, 2), np.float32),
        "bias": np.ones((32, 2), np.float32),
    },
    "DecomposedBias": {"num_heads": 2, "head_dim": 4, "q_grid": (2, 3)},
    "DecomposedBiasParams": {"tables": (HEADS[0, :, 0], np.ones((5, 4), np.float32))},
    "LogCoordinateBias": {"num_heads": 2, "window": (2, 3)},
    "LogCoordinateBiasParams": {
        "hidden_weight": np.ones((2, 4), np.float32),
        "hidden_bias": np.ones(4, np.float32),
        "weight": np.ones((4, 3), np.float32),
    },
    "OffsetBias": {"num_heads": 2, "window": (2, 3)},
    "ProfileBias": {"num_heads": 2, "num_profiles": 3, "extent": 4},
    "ProfileBiasParams": {"bank": np.ones((3, 4), np.float32)},
    "PairEncodingParams": {"table": np.ones((13, 4), np.float32)},
    "RelativeKeyBias": {"num_heads": 2, "head_dim": 4, "left": 2, "right": 1},
    "RelativeKeyParams": {"keys": np.ones((4, 4), np.float32)},
    "SegmentBias": {"num_heads": 2, "num_segments": 3},
    "SumBias": {"biases": (T5, T5)},
    "DisentangledBias": {"num_heads": 2, "head_dim": 4, "max_distance": 5},
    "DisentangledParams": {"keys": HEADS[0], "queries": HEADS[0]},
    "RelativeValueParams": {"values": np.ones((4, 4), np.float32)},
    "T5Bias": {"num_heads": 2, "bidirectional": True},
    "TableBiasParams": {"table": TABLE.table},
    "TransformerXLBias": {"num_heads": 2, "head_dim": 4, "d_model": 6},
    "TransformerXLBiasParams": {
        "weight": np.ones((2, 4, 6), np.float32),
        "v": np.ones((2, 4), np.float32),
    },
    "WindowBias": {"num_heads": 2, "window": (2, 3)},
    "alibi_slopes": {"num_heads": 2},
    "append_channels": {"channels": CHANNELS, "q": HEADS, "k": HEADS, "v": HEADS},
    "apply_bias_gate": {"params": GATE, "x": HEADS},
    "apply_pair_encoding": {
        "params": F.PairEncodingParams(np.ones((13, 4), np.float32)),
        **{n: np.arange(3) for n in ("residues", "tokens", "chains", "copies")},
        "entities": np.arange(3),
        "max_distance": 1,
        "max_copies": 1,
    },
    "apply_position_bias": {"bias": T5, "params": TABLE, **PAIRS},
    "clipped_distances": {"distance": np.arange(3), "left": 1, "right": 1},
    "global_blocks": {"mask": np.ones(3, bool), "block_size": 2},
    "init_bias_gate": {"key": KEY, "num_heads": 2, "head_dim": 4},
    "apply_relative_values": {
        "bias": KEYS,
        "params": F.RelativeValueParams(np.ones((4, 4), np.float32)),
        "probabilities": np.ones((1, 2, 3, 3), np.float32),
        **PAIRS,
    },
    "disentangled_bucket": {
        "distance": np.arange(3),
        "num_buckets": 4,
        "max_distance": 8,
    },
    "inkling_temperature": {"positions": np.arange(3), "floor": 2},
    "init_pair_encoding": {"key": KEY, "width": 4},
    "init_position_bias": {"key": KEY, "bias": T5},
    "lift_score_mod": {"score_mod": lambda score, *indices: score, "scale": 0.5},
    "position_bias_channels": {
        "bias": SIGNED,
        "params": None,
        **PAIRS,
        "scale": 0.5,
        "dtype": np.float32,
    },
    "log_coordinates": {"window": (2, 3)},
    "offset_index": {"window": (2, 3)},
    "init_relative_values": {"key": KEY, "bias": KEYS},
    "position_bias_score_mod": {"bias": T5, "params": TABLE, **PAIRS},
    "project_relative_table": {
        "table": np.ones((4, 4), np.float32),
        "weight": np.ones((4, 4), np.float32),
        "bias": np.ones(4, np.float32),
        "num_heads": 2,
        "norm_weight": np.ones(4, np.float32),
        "norm_bias": np.ones(4, np.float32),
    },
    "relative_position_bucket": {
        "distance": np.arange(3),
        "num_buckets": 4,
        "max_distance": 8,
        "bidirectional": True,
    },
    "resize_relative_table": {
        "table": np.ones((15, 2), np.float32),
        "old_window": (2, 3),
        "new_window": (3, 3),
        "method": "bilinear",
    },
    "window_index": {"window": (2, 3)},
}
