"""A call of every public name of position biases, part of `public_calls`."""

import jax
import numpy as np

import attnax.functional as F

KEY = jax.random.key(0)
HEADS = np.ones((1, 3, 2, 4), np.float32)
T5 = F.T5Bias(2, 4, 8, bidirectional=True)
TABLE = F.TableBiasParams(np.ones((4, 2), np.float32))
PAIRS = {"q_positions": np.arange(3), "k_positions": np.arange(3)}

SIGNED = F.AlibiBias(2, form="signed")
CHANNELS = F.position_bias_channels(
    SIGNED, None, range(3), range(3), scale=0.5, dtype=np.float32
)

CALLS = {
    "AlibiBias": {"num_heads": 2},
    "PositionChannels": {"q": CHANNELS.q, "k": CHANNELS.k},
    "RelativeKeyBias": {"num_heads": 2, "head_dim": 4, "left": 2, "right": 1},
    "RelativeKeyParams": {"keys": np.ones((4, 4), np.float32)},
    "T5Bias": {"num_heads": 2, "bidirectional": True},
    "TableBiasParams": {"table": TABLE.table},
    "WindowBias": {"num_heads": 2, "window": (2, 3)},
    "alibi_slopes": {"num_heads": 2},
    "append_channels": {"channels": CHANNELS, "q": HEADS, "k": HEADS, "v": HEADS},
    "apply_position_bias": {"bias": T5, "params": TABLE, **PAIRS},
    "init_position_bias": {"key": KEY, "bias": T5},
    "lift_score_mod": {"score_mod": lambda score, *indices: score, "scale": 0.5},
    "position_bias_channels": {
        "bias": SIGNED,
        "params": None,
        **PAIRS,
        "scale": 0.5,
        "dtype": np.float32,
    },
    "position_bias_score_mod": {"bias": T5, "params": TABLE, **PAIRS},
    "relative_position_bucket": {
        "distance": np.arange(3),
        "num_buckets": 4,
        "max_distance": 8,
        "bidirectional": True,
    },
    "window_index": {"window": (2, 3)},
}
